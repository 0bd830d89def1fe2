//! Counter-based random numbers: Threefry-2x32 with 20 rounds (Salmon et al., SC 2011; docs/method.md,
//! section 9). The Rust twin of `shaders/common/rng.wgsl`.
//!
//! A draw is a pure function of (seed, purpose, step, index), so a run repeats, resumes, and
//! gives the same bits on the CPU and on any GPU.

use std::convert::Infallible;

use rand_core::{TryRng, utils};

/// The purpose of a stream of draws. Different purposes have different keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Initial weights.
    Init = 1,
    /// The order of the training examples.
    Shuffle = 2,
    /// The random start of the selection in the ball.
    Selection = 3,
    /// The radius of that start, for L2 balls.
    SelectionRadius = 4,
    /// The reparameterisation noise u of docs/method.md, section 2.
    Reparameterise = 5,
    /// The same noise, for the ELBO of the test set.
    Evaluation = 6,
    /// The order of the examples in the linear probe's training.
    ProbeShuffle = 7,
    /// Which labels a probe sees when it is given only some.
    ProbeLabels = 8,
    /// The random starts of the attack's restarts.
    Attack = 9,
    /// The radii of those starts, for L2 balls.
    AttackRadius = 10,
    /// Synthetic faces.
    Faces = 11,
    /// The data and the start of the tabular system.
    Tabular = 14,
    /// Codes whose decoded images a run's page shows.
    Showcase = 13,
    /// Codes of the neural sampler, and the points it is tried on.
    Sampler = 15,
    /// The squares of the square attack.
    Square = 16,
    /// The starts of the attack on thresholded images.
    Threshold = 17,
}

/// The key of one stream: a seed and a purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(pub [u32; 2]);

impl Key {
    /// The key of `purpose` under `seed`.
    pub fn new(seed: u64, purpose: Purpose) -> Self {
        Key([seed as u32, (seed >> 32) as u32 ^ ((purpose as u32) << 24)])
    }
}

/// The rotations, which repeat after eight rounds.
const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];

/// Threefry-2x32-20 of the `N` counters `(x, y)` under one key. The lanes are independent: with `N` = 16 the compiler
/// uses whole vector registers.
#[inline(always)]
pub fn threefry<const N: usize>(
    mut x: [u32; N],
    mut y: [u32; N],
    Key([k0, k1]): Key,
) -> ([u32; N], [u32; N]) {
    let keys = [k0, k1, 0x1BD1_1BDA ^ k0 ^ k1];
    for i in 0..N {
        x[i] = x[i].wrapping_add(k0);
        y[i] = y[i].wrapping_add(k1);
    }
    for group in 0..5 {
        for round in 0..4 {
            let rotation = ROTATIONS[(4 * group + round) % 8];
            for i in 0..N {
                x[i] = x[i].wrapping_add(y[i]);
                y[i] = y[i].rotate_left(rotation) ^ x[i];
            }
        }
        let (a, b) = (keys[(group + 1) % 3], keys[(group + 2) % 3].wrapping_add(group as u32 + 1));
        for i in 0..N {
            x[i] = x[i].wrapping_add(a);
            y[i] = y[i].wrapping_add(b);
        }
    }
    (x, y)
}

/// A uniform number from a random word: `((bits >> 8) + 0.5) 2^-24`, never 0 or 1.
#[inline(always)]
pub fn unit(bits: u32) -> f32 {
    // In float32 the largest sum, 2^24 - 1/2, rounds to 2^24: without the minimum that draw would be 1.
    (((bits >> 8) as f32 + 0.5) * (1.0 / 16_777_216.0)).min(LARGEST_UNIT)
}

/// `1 - 2^-24`, the largest float32 below 1.
const LARGEST_UNIT: f32 = 0.999_999_94;

/// Two independent standard normals from two random words (Box and Muller, 1958).
#[inline]
pub fn normal_pair(bits: (u32, u32)) -> (f32, f32) {
    let radius = (-2.0 * unit(bits.0).ln()).sqrt();
    let angle = std::f32::consts::TAU * unit(bits.1);
    (radius * angle.cos(), radius * angle.sin())
}

/// Uniform draw number `index` of step `step`: word `index % 2` of block `index / 2`.
pub fn uniform(key: Key, step: u32, index: u32) -> f32 {
    let (x, y) = threefry([index / 2], [step], key);
    unit(if index.is_multiple_of(2) { x[0] } else { y[0] })
}

/// The draws of one step of a stream, one after another, for the host. It is a generator of `rand_core`, so that `rand`
/// and `rand_distr` draw from it. After 2^33 words it begins again.
///
/// ```
/// use rand_core::Rng;
/// use smoothenc::engine::rng::{Key, Purpose, Stream, uniform};
///
/// let key = Key::new(7, Purpose::Init);
/// let mut draws = Stream::new(key, 3);
/// assert_eq!(draws.uniform(), uniform(key, 3, 0));
/// let word: u32 = draws.next_u32();
/// assert_eq!(draws.uniform(), uniform(key, 3, 2));
/// # _ = word;
/// ```
#[derive(Debug, Clone)]
pub struct Stream {
    key: Key,
    step: u32,
    /// Words drawn so far.
    drawn: u64,
}

impl Stream {
    /// The draws of `step` of the stream of `key`, from the first on.
    pub fn new(key: Key, step: u32) -> Self {
        Stream { key, step, drawn: 0 }
    }

    /// The next word as a uniform number between 0 and 1, neither of them: [`unit`].
    pub fn uniform(&mut self) -> f32 {
        unit(self.word())
    }

    fn word(&mut self) -> u32 {
        let (x, y) = threefry([(self.drawn / 2) as u32], [self.step], self.key);
        self.drawn += 1;
        if self.drawn % 2 == 1 { x[0] } else { y[0] }
    }
}

impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.word())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        utils::next_u64_via_u32(self)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        utils::fill_bytes_via_next_word(bytes, || self.try_next_u32())
    }
}

/// Blocks computed together, to fill vector registers.
const LANES: usize = 16;

/// Fills `out` with draws of step `step` from block `first_block` on, two to a block: standard normal, or else uniform.
/// Inlined, so that it is compiled for the instruction set of its caller.
#[inline(always)]
pub fn fill(key: Key, step: u32, first_block: u32, normal: bool, out: &mut [f32]) {
    for (i, chunk) in out.chunks_mut(2 * LANES).enumerate() {
        let first = first_block + (i * LANES) as u32;
        let blocks = std::array::from_fn(|lane| first.wrapping_add(lane as u32));
        let (x, y) = threefry::<LANES>(blocks, [step; LANES], key);
        let mut draws = [x.map(unit), y.map(unit)];
        if normal {
            for lane in 0..LANES {
                (draws[0][lane], draws[1][lane]) = normal_pair((x[lane], y[lane]));
            }
        }
        for (pair, lane) in chunk.chunks_mut(2).zip(0..) {
            pair[0] = draws[0][lane];
            if let Some(second) = pair.get_mut(1) {
                *second = draws[1][lane];
            }
        }
    }
}

/// The element at `position` of permutation number `epoch` of `0..n`.
///
/// A Feistel network of four Threefry rounds permutes `0..4^k`, the smallest such range that holds `0..n`. Following
/// its cycle until a value below `n` appears permutes `0..n` (Black and Rogaway, 2002). So every epoch visits every
/// example once, without state.
pub fn permuted(key: Key, epoch: u32, n: u32, position: u32) -> u32 {
    let half_bits = half_bits(n);
    let mask = (1 << half_bits) - 1;
    let mut value = position;
    loop {
        let (mut left, mut right) = (value >> half_bits, value & mask);
        for round in 0..4 {
            let (hash, _) = threefry([right | round << 16], [epoch], key);
            (left, right) = (right, left ^ (hash[0] & mask));
        }
        value = left << half_bits | right;
        if value < n {
            return value;
        }
    }
}

/// The least k >= 1 with 4^k >= n: half the bits of the Feistel network of [`permuted`].
pub fn half_bits(n: u32) -> u32 {
    (32 - n.saturating_sub(1).leading_zeros()).div_ceil(2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of Random123, `threefry2x32` with 20 rounds.
    #[test]
    fn known_answers() {
        let cases = [
            ([0, 0], [0, 0], [0x6b200159, 0x99ba4efe]),
            ([u32::MAX; 2], [u32::MAX; 2], [0x1cb996fc, 0xbb002be7]),
            ([0x243f6a88, 0x85a308d3], [0x13198a2e, 0x03707344], [0xc4923a9c, 0x483df7a0]),
        ];
        for (counter, key, expected) in cases {
            let (x, y) = threefry([counter[0]], [counter[1]], Key(key));
            assert_eq!([x[0], y[0]], expected);
        }
    }

    #[test]
    fn uniforms_never_reach_the_ends() {
        assert!(unit(0) > 0.0);
        assert!(unit(u32::MAX) < 1.0);
    }

    #[test]
    fn a_permutation_visits_everything_once() {
        for n in [1, 2, 3, 5, 64, 100, 1000, 4097] {
            let key = Key::new(7, Purpose::Shuffle);
            let mut seen: Vec<_> = (0..n).map(|i| permuted(key, 3, n, i)).collect();
            let again: Vec<_> = (0..n).map(|i| permuted(key, 4, n, i)).collect();
            assert!(n < 64 || seen != again, "two epochs in one order");
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..n), "{n}");
        }
    }
}
