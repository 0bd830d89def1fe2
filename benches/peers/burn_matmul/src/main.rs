//! Median seconds of an n x n matrix product in Burn on wgpu, one line of JSON for each n.

use std::time::Instant;

use burn::backend::Wgpu;
use burn::tensor::{Distribution, Tensor};

type Matrix = Tensor<Wgpu, 2>;

/// Products handed over before one wait, as `smoothenc bench` does it.
const REPETITIONS: usize = 16;
const SAMPLES: usize = 30;

/// Waits for `matrix` by reading one number of it.
fn wait(matrix: Matrix) -> f32 {
    matrix.slice([0..1, 0..1]).into_scalar()
}

fn main() {
    let device = Default::default();
    for n in [256, 512, 1024, 2048] {
        let random = || Matrix::random([n, n], Distribution::Uniform(-1.0, 1.0), &device);
        let (a, b) = (random(), random());
        let sample = || {
            let start = Instant::now();
            let mut last = a.clone().matmul(b.clone());
            for _ in 1..REPETITIONS {
                last = a.clone().matmul(b.clone());
            }
            wait(last);
            start.elapsed().as_secs_f64() / REPETITIONS as f64
        };
        // The first products choose and compile the kernel.
        (0..3).for_each(|_| _ = sample());
        let mut seconds: Vec<f64> = (0..SAMPLES).map(|_| sample()).collect();
        seconds.sort_by(f64::total_cmp);
        println!("{{\"n\": {n}, \"median_s\": {}}}", seconds[SAMPLES / 2]);
    }
}
