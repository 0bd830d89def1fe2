//! The method's ops, laid out as the engine's: op `foo` is `src/method/ops/foo.rs`, `shaders/foo.wgsl` and
//! `kernels-tests/foo.rs`.

mod box_minimum;
mod classify;
mod cosine_logits;
mod entropic_distance;
mod entropic_wasserstein;
mod gaussian_log_likelihood;
mod margin;
mod paint;
mod pgd_mlp;
mod pgd_start;
mod pgd_step;
mod relax;
mod reparameterise;
mod reparameterise_grad;
mod sinkhorn;
mod transport_plan;
mod wasserstein2;

pub use box_minimum::box_minimum;
pub use classify::{classify, right_before_wrong};
pub use cosine_logits::cosine_logits;
pub use entropic_distance::entropic_distance;
pub use entropic_wasserstein::{Rise, STAIRS, entropic_wasserstein};
pub use gaussian_log_likelihood::gaussian_log_likelihood;
pub use margin::{ANY, margin};
pub use paint::paint;
pub use pgd_mlp::{Ascent, Classifier, DrawnStart, Goal, MAX_LAYERS, SHARINGS, aim, fits, in_half, pgd_mlp};
pub(crate) use pgd_start::start_linf;
pub use pgd_start::{StartNoise, pgd_start};
pub use pgd_step::{Norm, StepLength, pgd_step};
pub use relax::relax;
pub use reparameterise::{Sample, reparameterise};
pub use reparameterise_grad::reparameterise_grad;
pub use sinkhorn::{MOST_STATES, sinkhorn};
pub use transport_plan::transport_plan;
pub use wasserstein2::{Distance, wasserstein2};

use crate::engine::kernel::Kernel;

/// Every kernel of the method, beside [the engine's](crate::engine::ops::KERNELS).
pub static KERNELS: &[&Kernel] = &[
    &box_minimum::BOX_MINIMUM,
    &classify::CLASSIFY,
    &cosine_logits::COSINE_LOGITS,
    &entropic_distance::ENTROPIC_DISTANCE,
    &entropic_wasserstein::ENTROPIC_WASSERSTEIN,
    &gaussian_log_likelihood::GAUSSIAN_LOG_LIKELIHOOD,
    &margin::MARGIN,
    &paint::PAINT,
    &pgd_mlp::PGD_MLP,
    &pgd_start::PGD_START,
    &pgd_step::PGD_STEP,
    &relax::RELAX,
    &reparameterise::REPARAMETERISE,
    &reparameterise_grad::REPARAMETERISE_GRAD,
    &sinkhorn::SINKHORN,
    &transport_plan::TRANSPORT_PLAN,
    &wasserstein2::WASSERSTEIN2,
];
