//! Seconds of the ConvNet's convolutions, with bias and ReLU, forwards and with the gradients of input, weights and
//! bias, as one line of JSON: `cargo bench --bench conv -- --batch 128 --channels 1 --device cpu`.
//!
//! The twin of `peers/bench_torch_conv.py`; `peers/compare.py --conv` runs the two in turn.

use std::time::Instant;

use clap::Parser;
use smoothenc::cli::environment::{limit_instructions, tuning};
use smoothenc::engine::autodiff;
use smoothenc::engine::device::{self, Device, Program};
use smoothenc::engine::graph::Graph;
use smoothenc::engine::ops::{self, Convolution};
use smoothenc::engine::session::Session;
use smoothenc::engine::tensor::DType::F32;

#[derive(Parser)]
struct Args {
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// Channels of the images
    #[arg(long, default_value_t = 1)]
    channels: usize,
    /// Height and width of the images
    #[arg(long, default_value_t = 28)]
    side: usize,
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Timed runs of each
    #[arg(long, default_value_t = 30)]
    count: usize,
    #[arg(long, default_value_t = 5)]
    warmup: usize,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// The program of one layer, forwards and, where asked for, back.
fn layer(
    device: &Device,
    c: Convolution,
    transposed: bool,
    backward: bool,
    batch: usize,
) -> smoothenc::Result<Program> {
    let (from, to) = if transposed { (c.small, c.large) } else { (c.large, c.small) };
    let len = |image: [usize; 3]| image.iter().product::<usize>();
    let shapes = [vec![batch, len(from)], c.weight_shape().to_vec(), vec![to[0]], vec![batch, len(to)]];
    let (mut session, mut g) = (Session::new(device.clone()), Graph::new());
    let mut inputs = Vec::new();
    for (name, shape) in ["x", "weight", "bias", "dy"].into_iter().zip(shapes) {
        let words = shape.iter().product();
        session
            .set(name, &(0..words).map(|w: usize| (w * 37 % 97) as f32 / 97.0 - 0.4).collect::<Vec<_>>())?;
        inputs.push(g.variable(name, shape, F32)?);
    }
    let y = match transposed {
        false => ops::conv2d(&mut g, c, inputs[0], inputs[1], Some(inputs[2]), true)?,
        true => ops::conv2d_transpose(&mut g, c, inputs[0], inputs[1], Some(inputs[2]), true)?,
    };
    let kept = g.variable("y", [batch, len(to)], F32)?;
    if backward {
        let gradients = autodiff::gradients_from(&mut g, &[(y, inputs[3])], &inputs[..3])?;
        for (i, gradient) in gradients.into_iter().enumerate() {
            let shape = g.shape(gradient)?.clone();
            let kept = g.variable(&format!("gradient {i}"), shape, F32)?;
            ops::store(&mut g, gradient, kept)?;
        }
    }
    ops::store(&mut g, y, kept)?;
    session.compile(&g)
}

fn main() -> smoothenc::Result<()> {
    let args = Args::parse();
    limit_instructions()?;
    let device = device::open_tuned(&args.device, false, &tuning()?)?;
    let image = [args.channels, args.side, args.side];
    let first = Convolution::new(image, 32, [4, 4], 2, 1)?;
    let second = Convolution::new(first.small, 64, [4, 4], 2, 1)?;
    let mut rows = Vec::new();
    for (name, c, transposed) in [
        ("conv 1", first, false),
        ("conv 2", second, false),
        ("transposed 2", second, true),
        ("transposed 1", first, true),
    ] {
        for (pass, backward) in [("forward", false), ("forward and back", true)] {
            let mut program = layer(&device, c, transposed, backward, args.batch)?;
            let mut timed = |count: usize| -> smoothenc::Result<Vec<f64>> {
                let one = |_| {
                    let start = Instant::now();
                    program.run()?;
                    device.finish()?;
                    Ok(start.elapsed().as_secs_f64())
                };
                (0..count).map(one).collect()
            };
            timed(args.warmup)?;
            let mut seconds = timed(args.count)?;
            seconds.sort_by(f64::total_cmp);
            rows.push((format!("{name}, {pass}"), seconds[seconds.len() / 2]));
        }
    }
    let result = serde_json::json!({
        "impl": "smoothenc", "batch": args.batch, "channels": args.channels, "side": args.side,
        "device": device.description(), "median_s": rows.iter().map(|row| row.1).sum::<f64>(),
        "layers": rows.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
    });
    println!("{result}");
    Ok(())
}
