//! What an attack can try in a ball.

use super::Attack;
use super::apgd::Goal;
use super::square::queries;

/// How an attack looks for an adversarial example in a ball. Every point that it visits is classified, but where said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Random points of the ball, one for each restart.
    Noise,
    /// One step of the radius up the cross-entropy, from the image itself (Goodfellow et al. 2015).
    Fgsm,
    /// Steps of `2.5 radius / steps` up the cross-entropy, from random points (Madry et al. 2018).
    Pgd,
    /// Steps up the margin of another class over the image's own, from random points. The first step is as long as the
    /// radius; the others fall linearly to 0. Restarts take the other classes in turn, the likeliest first.
    Margin,
    /// Auto-PGD on the cross-entropy (Croce & Hein 2020, algorithm 1), from one random point: see `attack/apgd.rs`.
    ApgdCe,
    /// Auto-PGD on the difference of logits ratio; on the margin where there are less than 3 classes.
    ApgdDlr,
    /// Auto-PGD on the targeted ratio, once for each of the 9 likeliest other classes; on the margin of that class
    /// where there are less than 4 classes.
    ApgdT,
    /// Points that differ in random squares, without gradients: see `attack/square.rs`.
    Square,
    /// Steps of `2.5 radius / steps` that move the code as far as they can, as in the training of a smooth encoder: see
    /// `attack/latent.rs`. No label is used, and only the last point is classified.
    Latent,
    /// The points of [`Attack::transferred`], which fool another classifier.
    Transfer,
}

/// The most classes that [`Method::ApgdT`] aims at, as in AutoAttack.
const TARGETS: usize = 9;

impl Method {
    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Method::Noise => "noise",
            Method::Fgsm => "fgsm",
            Method::Pgd => "pgd",
            Method::Margin => "margin",
            Method::ApgdCe => "apgd-ce",
            Method::ApgdDlr => "apgd-dlr",
            Method::ApgdT => "apgd-t",
            Method::Square => "square",
            Method::Latent => "latent",
            Method::Transfer => "transfer",
        }
    }

    /// What its ascent by [`Apgd`] climbs; none where that is not how it searches.
    pub(super) fn goal(self) -> Option<Goal> {
        match self {
            Method::ApgdCe => Some(Goal::CrossEntropy),
            Method::ApgdDlr => Some(Goal::Dlr),
            Method::ApgdT => Some(Goal::Targeted),
            _ => None,
        }
    }

    /// Whether its restarts take the other classes in turn.
    pub(super) fn has_rivals(self) -> bool {
        matches!(self, Method::Margin | Method::ApgdT)
    }

    /// Its restarts for each image and radius, on a classifier of so many classes.
    pub(super) fn restarts(self, settings: &Attack, classes: usize) -> usize {
        match self {
            Method::Noise | Method::Pgd | Method::Margin | Method::Latent => settings.restarts,
            Method::Fgsm | Method::ApgdCe | Method::ApgdDlr | Method::Square | Method::Transfer => 1,
            Method::ApgdT => TARGETS.min(classes.saturating_sub(1)),
        }
    }

    /// The points of a restart that are classified, where none of them is wrong.
    pub(super) fn points(self, settings: &Attack) -> usize {
        match self {
            Method::Noise | Method::Transfer => 1,
            Method::Fgsm => 2,
            Method::Pgd | Method::Margin | Method::ApgdCe | Method::ApgdDlr | Method::ApgdT => {
                settings.steps + 1
            }
            Method::Square => queries(settings.steps),
            // Its steps, too, are work.
            Method::Latent => settings.steps + 1,
        }
    }
}
