//! The downstream protocol of docs/method.md, section 5: a linear probe on the frozen code, and its
//! accuracy under attack.

mod accuracies;
mod attack;
mod certify;
mod encoder;
mod gradients;
mod probe;
mod threshold;

pub use accuracies::{Accuracies, interval, percent};
pub use attack::{
    Attack, AttackReport, Broken, Method, Outcome, PROPOSALS_PER_STEP, ROWS, Target, answers, attack,
    check_attack, distance, perturbed, reach,
};
pub use certify::{Ball, Certifier, certified_radii, code_reach};
pub use encoder::{Build, CHUNK, Chunk, CodeUse, Codes, check_encoding, encode_codes, encode_means};
pub use gradients::vanishing_gradients;
pub use probe::{Probe, ProbeSettings};
pub use threshold::Thresholded;
