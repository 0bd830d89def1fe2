use super::{claims::Claim, lab::Lab};
use crate::error::Result;
pub fn measure(_: &Lab) -> Result<Vec<Claim>> {
    Ok(Vec::new())
}
