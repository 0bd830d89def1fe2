//! How far the code of an image can move at all: bounds of its means in a ball, whatever the task.

use super::chain::Arenas;
use super::walk::{IMAGES, Walk, Wanted};
use super::{Ball, Certifier, intervals, padded, swollen};
use crate::engine::device::Program;
use crate::engine::graph::Graph;
use crate::engine::ops::store;
use crate::engine::session::Session;
use crate::engine::tensor::DType::F32;
use crate::error::Result;
use crate::method::ops::Norm;
use crate::method::robustness::Target;

/// Programs that bound how far codes can move.
struct Reach<'a> {
    certifier: Certifier<'a>,
    walk: Walk,
    means: Program,
}

/// For each of `radii` and each image an upper bound of the Euclidean distance between its code and that of any image
/// in the ball of that radius and in the box. Codes are means. Infinite where a number is not finite. Calls `progress`
/// with the work done and all work, counted in images.
///
/// # Errors
/// [`Error::Request`](crate::Error::Request) for a model in half precision; those of the device.
pub fn code_reach(
    session: &mut Session,
    target: &Target,
    norm: Norm,
    radii: &[f32],
    progress: &dyn Fn(usize, usize),
) -> Result<Vec<Vec<f64>>> {
    let images = target.labels.len();
    let mut reach = Reach::new(session, target, norm)?;
    let mut of_radii = Vec::new();
    for (r, &radius) in radii.iter().enumerate() {
        let balls: Vec<Ball> = (0..images).map(|image| (image, radius)).collect();
        let mut distances = Vec::with_capacity(images);
        for balls in balls.chunks(IMAGES) {
            progress(r * images + distances.len(), radii.len() * images);
            distances.extend(&reach.block(session, balls)?[..balls.len()]);
        }
        of_radii.push(distances);
    }
    reach.certifier.forget(session);
    Ok(of_radii)
}

impl<'a> Reach<'a> {
    fn new(session: &mut Session, target: &'a Target<'a>, norm: Norm) -> Result<Self> {
        let certifier = Certifier::new(session, target, norm)?;
        let vae = target.vae;
        // The last layer but the probe's.
        let last = certifier.chain.len().saturating_sub(2);
        let walk =
            Walk::compile(session, target, &certifier.chain, last, norm, Wanted::Shared(2 * vae.latent))?;
        let mut g = Graph::new();
        let arenas = Arenas::new(&mut g, target, "")?;
        let images = g.variable("certify.images", [IMAGES, vae.encoder.inputs()], F32)?;
        let means = vae.encode_mean(&mut g, arenas.model(), images)?;
        let kept = g.variable("certify.means", [IMAGES, vae.latent], F32)?;
        store(&mut g, means, kept)?;
        let means = session.compile(&g)?;
        Ok(Reach { certifier, walk, means })
    }

    fn block(&mut self, session: &Session, balls: &[Ball]) -> Result<[f64; IMAGES]> {
        let Some(balls) = padded(balls) else { return Ok([f64::NAN; IMAGES]) };
        let (target, radii) = (self.certifier.target, swollen(&balls));
        let sound = self.certifier.enclose(session, &balls, &radii)?;
        let latent = target.vae.latent;
        let intervals = intervals(session, &mut self.walk, latent, &radii)?;
        let images: Vec<f32> = balls.iter().flat_map(|&(image, _)| target.row(image)).copied().collect();
        session.write("certify.images", 0, &images)?;
        self.means.run()?;
        let means: Vec<f32> = session.get("certify.means")?;
        Ok(std::array::from_fn(|i| {
            let of_image = intervals[i * latent..][..latent].iter().zip(&means[i * latent..][..latent]);
            let squares = of_image.map(|(&(low, high), &mean)| {
                let away = (high - f64::from(mean)).max(f64::from(mean) - low);
                away * away
            });
            let distance = squares.sum::<f64>().sqrt() * (1.0 + 1e-12);
            if sound[i] && distance.is_finite() { distance } else { f64::INFINITY }
        }))
    }
}
