use super::{claims::Claim, lab::Lab};
use crate::error::Result;
pub fn figure1(_: &Lab) -> Result<Vec<Claim>> {
    Ok(Vec::new())
}
pub fn figure6(_: &Lab) -> Result<Vec<Claim>> {
    Ok(Vec::new())
}
