//! The device's ceilings: measured rates of fused multiply-adds and of copying.

use serde::Serialize;

use crate::bench::{Options, timing};
use crate::engine::device::{Buffer, Device};
use crate::engine::kernel::{BufferId, Kernel, NONE, View};
use crate::engine::recording::{Call, flat_grid};
#[cfg(target_arch = "x86_64")]
use crate::engine::simd::{self, InstructionSet};
use crate::error::Result;

/// The two rates that bound every kernel.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Ceilings {
    /// Single-precision operations in fused multiply-adds, two each, on registers alone.
    pub fma_gflops: f64,
    /// Bytes read and bytes written by a copy much larger than the caches.
    pub copy_gbs: f64,
}

/// The kernels of this module, `shaders/bench/`. No graph uses them.
pub static KERNELS: &[&Kernel] = &[&fma::FMA, &copy::COPY];

/// The loop of multiply-adds.
mod fma {
    use super::widest;
    use crate::kernel;

    kernel! {
        pub(super) static FMA: "fma" {
            shaders: ["common/flat.wgsl", "bench/fma.wgsl"],
            params: { n: u32, rounds: u32, start: f32, factor: f32, addend: f32 },
            constants: {},
            bindings: { out: write f32 },
            cpu: fma_cpu,
        }
    }

    fn fma_cpu(Tile { p, out, .. }: Tile) {
        out.fill_with(|| widest().1(p));
    }
}

/// The copy, by vectors of four words.
mod copy {
    use crate::kernel;

    kernel! {
        pub(super) static COPY: "copy" {
            shaders: ["common/flat.wgsl", "bench/copy.wgsl"],
            params: { n: u32 },
            constants: {},
            bindings: { source: read f32, to: write f32 },
            cpu: copy_cpu,
        }
    }

    fn copy_cpu(Tile { source, to, .. }: Tile) {
        to.copy_from_slice(source);
    }
}

/// Sums that an invocation of the shader keeps.
const GPU_SUMS: usize = 64;

/// Measures both rates. The best sample counts, since disturbances only slow a measurement down.
pub fn measure(device: &Device, options: &Options) -> Result<Ceilings> {
    let fma_gflops = fma_gflops(device, options)?;
    let words = copy_words(device, options);
    let buffers =
        [device.buffer("nothing", NONE.words)?, device.buffer("from", words)?, device.buffer("to", words)?];
    // Zeroed memory may be one page mapped many times until it is written.
    for buffer in &buffers[1..] {
        touch(buffer)?;
    }
    let copy = copy_call(view(1, words), view(2, words));
    let copy_s = timing::time_call(device, &copy, &buffers, options.seconds)?.best_s;
    Ok(Ceilings { fma_gflops, copy_gbs: copy.bytes() as f64 / copy_s / 1e9 })
}

/// The rate of multiply-adds alone.
pub fn fma_gflops(device: &Device, options: &Options) -> Result<f64> {
    let small = device.is_software() || options.quick;
    let (items, rounds) = match device {
        Device::Cpu(_) => (16 * rayon::current_num_threads(), if options.quick { 2_000 } else { 20_000 }),
        Device::Gpu(_) => (256 * if small { 64 } else { 4096 }, 256),
    };
    let buffers = [device.buffer("nothing", NONE.words)?, device.buffer("items", items)?];
    let fma = fma_call(device, view(1, items), rounds);
    let fma_s = timing::time_call(device, &fma, &buffers, options.seconds)?.best_s;
    Ok(fma.flops as f64 / fma_s / 1e9)
}

/// Words of each side of the copy: 256 MiB, or what can be bound.
fn copy_words(device: &Device, options: &Options) -> usize {
    let wanted = if options.quick { 4 << 20 } else { 64 << 20 };
    match device {
        Device::Cpu(_) => wanted,
        Device::Gpu(gpu) => wanted.min((gpu.binding_bytes() / 4) as usize & !1023),
    }
}

fn touch(buffer: &Buffer) -> Result<()> {
    let piece = vec![1.0_f32; 1 << 20];
    for at in (0..buffer.words()).step_by(piece.len()) {
        buffer.write(at, &piece[..piece.len().min(buffer.words() - at)])?;
    }
    Ok(())
}

fn view(buffer: u32, words: usize) -> View {
    View { buffer: BufferId(buffer), offset: 0, words }
}

/// The loop for every word of `out`. Its operations depend on the device: each keeps as many sums
/// as fill its registers.
fn fma_call(device: &Device, out: View, rounds: u32) -> Call {
    let sums = match device {
        Device::Cpu(_) => widest().0,
        Device::Gpu(_) => GPU_SUMS,
    };
    // The sums converge to 1, far from overflow and from denormal numbers.
    let params = fma::Params { n: out.words as u32, rounds, start: 1.0, factor: 0.5, addend: 0.5 };
    fma::Args { out: out.by_row() }
        .call(params, fma::Constants {})
        .grid(out.words, 1, flat_grid(out.words))
        .flops(2 * sums * rounds as usize * out.words)
}

/// On the CPU one slice a thread.
fn copy_call(from: View, to: View) -> Call {
    let threads = rayon::current_num_threads();
    let rows = (1..=threads).rev().find(|rows| from.words.is_multiple_of(*rows)).unwrap_or(1);
    let vectors = from.words / 4;
    copy::Args { source: from.by_row(), to: to.by_row() }
        .call(copy::Params { n: vectors as u32 }, copy::Constants {})
        .grid(rows, 1, flat_grid(vectors))
}

/// The mean of the sums after all rounds.
type Spin = fn(fma::Params) -> f32;

/// The loop for the widest registers that kernels use, and the sums it keeps.
fn widest() -> (usize, Spin) {
    #[cfg(target_arch = "x86_64")]
    match simd::instruction_set() {
        // SAFETY: the machine has the instructions of its set.
        InstructionSet::Avx512 => return (16 * 24, |p| unsafe { spin_avx512(p) }),
        InstructionSet::Avx2Fma => return (8 * 12, |p| unsafe { spin_avx2(p) }),
        _ => {}
    }
    (4 * 12, spin::<{ 4 * 12 }, { cfg!(target_arch = "aarch64") }>)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn spin_avx512(p: fma::Params) -> f32 {
    spin::<{ 16 * 24 }, true>(p)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn spin_avx2(p: fma::Params) -> f32 {
    spin::<{ 8 * 12 }, true>(p)
}

/// `SUMS` sums. Where the machine cannot fuse, `mul_add` would be a call. Plain indices, because
/// the compiler keeps the sums in registers for these only.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
fn spin<const SUMS: usize, const FUSED: bool>(p: fma::Params) -> f32 {
    let mut sums = [p.start; SUMS];
    for i in 0..SUMS {
        sums[i] *= 1.0 + i as f32;
    }
    for _ in 0..p.rounds {
        for i in 0..SUMS {
            sums[i] = match FUSED {
                true => sums[i].mul_add(p.factor, p.addend),
                false => sums[i] * p.factor + p.addend,
            };
        }
    }
    let mut total = 0.0;
    for i in 0..SUMS {
        total += sums[i];
    }
    total / SUMS as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::device;
    use crate::engine::device::gpu::adapter;

    /// The CPU, and a GPU where there is one.
    fn devices() -> Vec<Device> {
        let gpu = (!adapter::adapters().is_empty()).then_some("gpu");
        ["cpu"].into_iter().chain(gpu).map(|name| device::open(name, true).unwrap()).collect()
    }

    #[test]
    fn the_loop_converges_and_the_copy_copies() {
        for device in devices() {
            let buffers = [64, 1000, 4096, 4096].map(|words| device.buffer("memory", words).unwrap());
            buffers[1].write(0, &[f32::NAN; 1000]).unwrap();
            buffers[2].write(0, &(0..4096).map(|i| i as f32).collect::<Vec<_>>()).unwrap();
            let calls = [fma_call(&device, view(1, 1000), 60), copy_call(view(2, 4096), view(3, 4096))];
            for call in &calls {
                timing::program_of(&device, call, 1, &buffers).unwrap().run().unwrap();
            }
            let (mut means, mut copied) = (vec![0.0_f32; 1000], vec![0.0_f32; 4096]);
            buffers[1].read(0, &mut means).unwrap();
            buffers[3].read(0, &mut copied).unwrap();
            assert!(means.iter().all(|&mean| mean == 1.0), "{}: {:?}", device.description(), &means[..3]);
            assert!(copied.iter().enumerate().all(|(i, &x)| x == i as f32), "{}", device.description());
        }
    }

    /// Every width of the loop, whatever the machine picks.
    #[test]
    fn the_portable_loop_is_the_same() {
        let p = fma::Params { n: 1, rounds: 3, start: 1.0, factor: 0.5, addend: 0.5 };
        // After three rounds a sum that began at s is at 1 + (s - 1) / 8; the mean of 1..=48 is 24.5.
        let portable = spin::<48, false>(p);
        assert!((portable - (1.0 + 23.5 / 8.0)).abs() < 1e-5, "{portable}");
        let (sums, widest) = widest();
        let expected = 1.0 + (0.5 * (sums as f32 + 1.0) - 1.0) / 8.0;
        assert!((widest(p) / expected - 1.0).abs() < 1e-5, "{} {expected}", widest(p));
    }
}
