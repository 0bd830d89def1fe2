use super::{claims::Claim, lab::Lab};
use crate::error::Result;
pub fn figure2(_: &Lab) -> Result<Vec<Claim>> {
    Ok(Vec::new())
}
pub fn figure3(_: &Lab) -> Result<Vec<Claim>> {
    Ok(Vec::new())
}
