//! Median seconds of matrix products in Burn on wgpu, one line of JSON for each size:
//! `cargo run --release -- [--samples N] 128x784x200 1024x1024x1024` (m x k x n).
//!
//! The twin of `benches/matmul.rs`, which hands over and waits in the same way. Burn takes the first
//! real GPU; `CUBECL_WGPU_DEFAULT_DEVICE=Cpu` takes software Vulkan.

use std::error::Error;
use std::time::Instant;

use burn_backend::ops::FloatTensorOps;
use burn_backend::{Backend, Distribution, FloatDType, Shape};
use burn_wgpu::{Wgpu, WgpuDevice};
use cubecl::Device;

/// A sample is as many products as take about this long, handed over before one wait.
const SAMPLE_SECONDS: f64 = 0.02;
const MOST_PRODUCTS: f64 = 64.0;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut samples = 10;
    if arguments.first().is_some_and(|first| first == "--samples") && arguments.len() > 1 {
        samples = arguments[1].parse()?;
        arguments.drain(..2);
    }
    let device = Device::Wgpu(WgpuDevice::default());
    for text in &arguments {
        let size = text.split('x').map(str::parse).collect::<Result<Vec<usize>, _>>()?;
        let [m, k, n] = size[..] else { return Err(format!("{text}: a size is MxKxN").into()) };
        let random = |shape: [usize; 2]| {
            Wgpu::float_random(Shape::from(shape), Distribution::Uniform(-1.0, 1.0), &device, FloatDType::F32)
        };
        let (a, b) = (random([m, k]), random([k, n]));
        let sample = |products: usize| -> Result<f64, Box<dyn Error>> {
            let start = Instant::now();
            for _ in 0..products {
                Wgpu::float_matmul(a.clone(), b.clone());
            }
            Wgpu::sync(&device).map_err(|error| format!("{error:?}"))?;
            Ok(start.elapsed().as_secs_f64() / products as f64)
        };
        // The first products choose and compile the kernel.
        for _ in 0..3 {
            sample(1)?;
        }
        let products = (SAMPLE_SECONDS / sample(1)?).clamp(1.0, MOST_PRODUCTS) as usize;
        let mut seconds = (0..samples).map(|_| sample(products)).collect::<Result<Vec<_>, _>>()?;
        seconds.sort_by(f64::total_cmp);
        let (median, least) = (seconds[seconds.len() / 2], seconds[0]);
        let name = Wgpu::name(&device);
        println!(
            "{{\"impl\": \"burn\", \"size\": [{m}, {k}, {n}], \"device\": \"{name}\", \"n\": {samples}, \
             \"median_s\": {median}, \"min_s\": {least}}}"
        );
    }
    Ok(())
}
