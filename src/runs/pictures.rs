//! Images that a run's model makes, as many as are asked for: what `reconstruct` and `traverse` draw. Prior samples are
//! [`LoadedRun::samples`].

use crate::engine::rng::{Key, Purpose, Stream};
use crate::error::Result;
use crate::runs::LoadedRun;
use crate::runs::showcase::{Images, Traversal, encode, means_of, telling_dimensions};

impl LoadedRun {
    /// Test images and what the decoder makes of their codes' means: the first `count`, or with a seed others by
    /// chance.
    pub fn reconstructions(&mut self, count: usize, seed: Option<u64>) -> Result<(Images, Images)> {
        let originals = self.test_images(count, seed)?;
        let heads = encode(&mut self.session, &self.vae, &originals.concat())?;
        let reconstructions = self.decoded(&means_of(&heads, self.vae.latent))?;
        Ok((originals, reconstructions))
    }

    /// One test image's code moved along the `count` dimensions that say most about test images: the first image, or
    /// with a seed one by chance.
    pub fn traversed(&mut self, count: usize, seed: Option<u64>) -> Result<Vec<Traversal>> {
        let latent = self.vae.latent;
        let (_, first) = self.first_images()?;
        let heads = encode(&mut self.session, &self.vae, &first)?;
        let dimensions = telling_dimensions(&heads, latent, count);
        let image = self.test_images(1, seed)?.concat();
        let code = encode(&mut self.session, &self.vae, &image)?;
        self.traversals(&code[..latent], &dimensions)
    }

    /// `count` test images, or as many as there are.
    fn test_images(&self, count: usize, seed: Option<u64>) -> Result<Images> {
        let images = &self.data.test.images;
        let chosen: Vec<usize> = match seed {
            None => images.sample(count).collect(),
            Some(seed) => by_chance(images.count, count, seed),
        };
        chosen.into_iter().map(|i| images.floats(i)).collect()
    }
}

/// `count` of the numbers below `all`, each at most once.
fn by_chance(all: usize, count: usize, seed: u64) -> Vec<usize> {
    // Step 0 of this stream is the samples' codes.
    let mut draws = Stream::new(Key::new(seed, Purpose::Showcase), 1);
    let mut order: Vec<(f32, usize)> = (0..all).map(|i| (draws.uniform(), i)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    order.into_iter().take(count).map(|(_, i)| i).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_repeats_and_has_no_number_twice() {
        let chosen = by_chance(50, 20, 3);
        assert_eq!(chosen, by_chance(50, 20, 3));
        assert_ne!(chosen, by_chance(50, 20, 4));
        let mut sorted = by_chance(50, 60, 3);
        assert_eq!(sorted[..20], chosen);
        sorted.sort();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }
}
