//! The kernel suite: every kernel, on the CPU and on the GPU, against a naive float64 oracle.
//!
//! A trial is named `kernel::case::device`, so `cargo test --release --test kernels matmul`
//! runs one kernel's. Without a GPU adapter the GPU's trials are ignored, unless
//! `SMOOTHENC_REQUIRE_GPU=1` asks the suite to fail then; software Vulkan counts as a GPU here.
//!
//! # Adding a kernel `foo`
//!
//! Write `kernels-tests/foo.rs` with `pub fn cases() -> Vec<Case>` and add it to [`SUITES`]:
//!
//! ```ignore
//! vec![Case::new(
//!     "3x200",
//!     |g, x| Ok(vec![foo(g, x[0], x[1])?]),      // the op; several outputs may be compared
//!     |x| vec![x[0].iter().zip(&x[1]).map(|(a, b)| a + b).collect()], // the same in f64
//! )
//! .input(Input::normal([3, 200]))
//! .input(Input::uniform([3, 200], -1.0, 1.0))
//! .tolerance(1e-5, 1e-4)                         // CPU, GPU; these are the defaults
//! .gradient(&[0, 1])]                            // also check these inputs' gradients
//! ```
//!
//! An op that updates an input (a variable) returns that input from the first closure. The
//! harness puts poisoned margins around inputs and outputs, poisons outputs, runs the program
//! twice where nothing is updated and asks for the same bits. Choose ragged shapes that cross
//! the kernel's tiles, and keep them small: software Vulkan is slow.

mod adam;
mod box_minimum;
mod broadcast;
mod classify;
mod concat;
mod conv2d;
mod conv2d_transpose;
mod conv2d_weight_grad;
mod copy;
mod cosine_logits;
mod devices;
mod elementwise;
mod entropic_distance;
mod entropic_wasserstein;
mod fill;
mod gather;
mod gaussian_log_likelihood;
mod gpu;
mod half;
mod harness;
mod inputs;
mod log_softmax;
mod margin;
mod matmul;
mod monitor;
mod paint;
mod pgd_mlp;
mod pgd_start;
mod pgd_step;
mod random;
mod reduce;
mod relax;
mod reparameterise;
mod reparameterise_grad;
mod self_test;
mod shuffle;
mod sinkhorn;
mod softmax_cross_entropy;
mod squared_distances;
mod transport_plan;
mod wasserstein2;
mod weighted_mean;

use harness::Case;
use libtest_mimic::Arguments;
use smoothenc::engine::device::gpu::adapter;

/// A kernel's name and its cases.
type Suite = (&'static str, fn() -> Vec<Case>);

/// Every kernel.
const SUITES: &[Suite] = &[
    ("adam", adam::cases),
    ("box_minimum", box_minimum::cases),
    ("broadcast", broadcast::cases),
    ("classify", classify::cases),
    ("concat", concat::cases),
    ("conv2d", conv2d::cases),
    ("conv2d_transpose", conv2d_transpose::cases),
    ("conv2d_weight_grad", conv2d_weight_grad::cases),
    ("copy", copy::cases),
    ("cosine_logits", cosine_logits::cases),
    ("elementwise", elementwise::cases),
    ("entropic_distance", entropic_distance::cases),
    ("entropic_wasserstein", entropic_wasserstein::cases),
    ("fill", fill::cases),
    ("gather", gather::cases),
    ("half", half::cases),
    ("gaussian_log_likelihood", gaussian_log_likelihood::cases),
    ("margin", margin::cases),
    ("log_softmax", log_softmax::cases),
    ("matmul", matmul::cases),
    ("monitor", monitor::cases),
    ("paint", paint::cases),
    ("pgd_mlp", pgd_mlp::cases),
    ("pgd_start", pgd_start::cases),
    ("pgd_step", pgd_step::cases),
    ("random", random::cases),
    ("reduce", reduce::cases),
    ("relax", relax::cases),
    ("reparameterise", reparameterise::cases),
    ("reparameterise_grad", reparameterise_grad::cases),
    ("shuffle", shuffle::cases),
    ("sinkhorn", sinkhorn::cases),
    ("softmax_cross_entropy", softmax_cross_entropy::cases),
    ("squared_distances", squared_distances::cases),
    ("transport_plan", transport_plan::cases),
    ("wasserstein2", wasserstein2::cases),
    ("weighted_mean", weighted_mean::cases),
];

/// The most words of inputs of a case under Miri.
const MIRI_WORDS: usize = 1000;

fn main() {
    if let Err(error) = smoothenc::cli::environment::limit_instructions() {
        eprintln!("{error}");
        std::process::exit(1);
    }
    let mut arguments = Arguments::from_args();
    // Miri runs no drivers, and takes a thousand times as long (docs/testing.md).
    let gpu = !cfg!(miri) && !adapter::adapters().is_empty();
    if !gpu && std::env::var("SMOOTHENC_REQUIRE_GPU").is_ok_and(|v| v == "1") {
        eprintln!("SMOOTHENC_REQUIRE_GPU=1, and there is no GPU adapter: install a Vulkan driver");
        std::process::exit(1);
    }
    // A GPU has one thread, so that all trials share one device and its pipelines. With software Vulkan compiling takes
    // most of the time, on the processor, and its driver keeps what it compiled for all devices.
    let software = gpu && gpu::common::adapter().is_ok_and(|found| !adapter::is_real(&found.get_info()));
    arguments.test_threads = arguments.test_threads.or(Some(if software { 2 } else { 1 }));
    let cases = |(kernel, cases): &Suite| {
        let cases = cases().into_iter().filter(|case| !cfg!(miri) || case.words() <= MIRI_WORDS);
        let trials = cases.flat_map(|case| case.trials(kernel, gpu));
        trials.collect::<Vec<_>>()
    };
    // A filter `matmul::` asks for no other kernel's cases, which take a moment to draw.
    let head = arguments.filter.as_ref().and_then(|filter| filter.split_once("::")).map(|(head, _)| head);
    let asked = head.filter(|head| SUITES.iter().any(|(kernel, _)| kernel == head));
    let suites = SUITES.iter().filter(|(kernel, _)| asked.is_none_or(|asked| *kernel == asked));
    let mut trials: Vec<_> = suites.flat_map(cases).collect();
    trials.extend(self_test::trials(gpu));
    trials.extend(gpu::trials(gpu));
    trials.extend(random::trials(gpu));
    trials.extend(shuffle::trials(gpu));
    libtest_mimic::run(&arguments, trials).exit();
}
