//! The GPU back end itself: long runs, large copies, and errors instead of panics.

#[path = "../tests/common/gpu.rs"]
pub mod common;

use libtest_mimic::Trial;
use smoothenc::engine::device::Device;
use smoothenc::engine::device::gpu::adapter;
use smoothenc::engine::graph::Graph;
use smoothenc::engine::ops::elementwise::{add, scale};
use smoothenc::engine::ops::store;
use smoothenc::engine::ops::{fill_to, matmul};
use smoothenc::engine::session::Session;
use smoothenc::engine::tensor::DType::F32;

use crate::devices::device;
use crate::harness::{Verdict, compare, trial};
use crate::inputs::Rng;
use crate::matmul::product;

/// More dispatches than one submission takes, and more runs than may be in flight; every iteration needs the one
/// before.
fn long_run(_: &mut Rng) -> Verdict {
    let (mut g, mut session) = (Graph::new(), Session::new(device(true)?));
    let [x, y, one] = ["x", "y", "one"].map(|name| g.variable(name, [5, 7], F32));
    let (x, y, one) = (x?, y?, one?);
    g.repeat(700, |g| {
        let sum = add(g, x, one)?;
        store(g, sum, y)?;
        let copy = scale(g, y, 1.0)?;
        store(g, copy, x)?;
        let sum = add(g, x, one)?;
        store(g, sum, y)?;
        let copy = scale(g, y, 1.0)?;
        store(g, copy, x)
    })?;
    session.set("x", &[0.5f32; 35])?;
    session.set("one", &[1.0f32; 35])?;
    let mut program = session.compile(&g)?;
    if program.dispatches() != 2800 {
        return Err(format!("{} dispatches", program.dispatches()).into());
    }
    for _ in 0..6 {
        program.run()?;
    }
    let got: Vec<f32> = session.get("x")?;
    same(&got, &[8400.5; 35])
}

fn same(got: &[f32], want: &[f32]) -> Verdict {
    if got == want { Ok(()) } else { Err(format!("{got:?} instead of {want:?}").into()) }
}

/// Memory is zeroed, and copies larger than a piece, at odd offsets, are read back whole.
fn large_copies(rng: &mut Rng) -> Verdict {
    let words = (9 << 20) + 3;
    let buffer = device(true)?.buffer("memory", words)?;
    let mut back = vec![1u32; words];
    buffer.read(0, &mut back)?;
    if back.iter().any(|&w| w != 0) {
        return Err("new memory is not zero".into());
    }
    let data: Vec<u32> = (0..words - 5).map(|_| rng.word() as u32).collect();
    buffer.write(5, &data)?;
    buffer.read(0, &mut back)?;
    if back[..5] != [0; 5] || back[5..] != data[..] {
        return Err("what was written does not come back".into());
    }
    match (buffer.write(6, &data), buffer.read(1, &mut back)) {
        (Err(_), Err(_)) => Ok(()),
        _ => Err("a copy past the end is no error".into()),
    }
}

/// A kernel may not read and write one buffer through two bindings, even different parts of it.
fn aliased_bindings(_: &mut Rng) -> Verdict {
    let (mut g, mut session) = (Graph::new(), Session::new(device(true)?));
    let both = g.variable("both", [128], F32)?;
    let (low, high) = (g.view(both, 0, [64])?, g.view(both, 64, [64])?);
    store(&mut g, low, high)?;
    names(session.compile(&g).map(|_| ()), &["kernel copy", "both"])?;
    // It may through a value.
    let mut g = Graph::new();
    let both = g.variable("both", [128], F32)?;
    let (low, high) = (g.view(both, 0, [64])?, g.view(both, 64, [64])?);
    let doubled = scale(&mut g, low, 2.0)?;
    store(&mut g, doubled, high)?;
    session.set("both", &[1.5_f32; 128])?;
    session.compile(&g)?.run()?;
    same(&session.get::<f32>("both")?, &[[1.5; 64], [3.0; 64]].concat())
}

/// Memory and bindings beyond the device's limits are errors, after which the device still works.
fn too_large(_: &mut Rng) -> Verdict {
    let device = device(true)?;
    names(device.buffer("model", 1 << 50).map(|_| ()), &["model", "MiB"])?;
    let limits = adapter::limits(&common::adapter()?);
    let words = limits.max_storage_buffer_binding_size as usize / 4 + 64;
    // Only where a buffer just beyond the binding limit is cheap to make.
    if words < 1 << 27 {
        let (mut g, mut session) = (Graph::new(), Session::new(device.clone()));
        let x = g.variable("x", [words / 64, 64], F32)?;
        fill_to(&mut g, x, 1.0)?;
        names(session.compile(&g).map(|_| ()), &["kernel fill"])?;
    }
    let (mut g, mut session) = (Graph::new(), Session::new(device));
    let x = g.variable("x", [3], F32)?;
    fill_to(&mut g, x, 1.5)?;
    session.compile(&g)?.run()?;
    same(&session.get::<f32>("x")?, &[1.5; 3])
}

/// A product whose variants are measured is right; the choice is written to the file, and found there by the next run.
fn tuned(rng: &mut Rng) -> Verdict {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("smoothenc/tune.json");
    let (a, b): (Vec<_>, Vec<_>) = (0..70 * 36).map(|_| (rng.normal() as f32, rng.normal() as f32)).unzip();
    let [exact_a, exact_b] = [&a, &b].map(|x| x.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
    let expected = product([70, 70, 36], &exact_a, false, &exact_b, true);
    let run = || -> smoothenc::Result<Vec<f32>> {
        let device = common::open()?;
        if let Device::Gpu(gpu) = &device {
            gpu.tune(file.clone(), false);
        }
        let (mut g, mut session) = (Graph::new(), Session::new(device));
        let [x, y] = ["x", "y"].map(|name| g.variable(name, [70, 36], F32));
        let (z, c) = (matmul(&mut g, x?, false, y?, true)?, g.variable("c", [70, 70], F32)?);
        store(&mut g, z, c)?;
        session.set("x", &a)?;
        session.set("y", &b)?;
        session.compile(&g)?.run()?;
        session.get("c")
    };
    let first = run()?;
    let got: Vec<f64> = first.iter().map(|&v| v.into()).collect();
    compare(&got, &expected, 1e-4, false)?;
    let kept = std::fs::read_to_string(&file)?;
    if kept.matches("matmul").count() != 1 || kept.matches("DEPTH").count() != 1 {
        return Err(format!("not one choice: {kept}").into());
    }
    same(&run()?, &first)?;
    match std::fs::read_to_string(&file)? == kept {
        true => Ok(()),
        false => Err("a choice that was there was made again".into()),
    }
}

/// A lost device is an error of the next run, write and read.
fn lost_device(_: &mut Rng) -> Verdict {
    let own = common::open()?;
    let mut session = Session::new(own.clone());
    let mut g = Graph::new();
    let x = g.variable("x", [3], F32)?;
    fill_to(&mut g, x, 1.5)?;
    let mut program = session.compile(&g)?;
    program.run()?;
    if let Device::Gpu(gpu) = &own {
        gpu.destroy();
    }
    // The first run may still be accepted; its results cannot be read.
    let ran = program.run();
    names(session.get::<f32>("x").map(|_| ()), &["device"])?;
    names(ran.and_then(|()| program.run()), &["device"])?;
    names(session.set("x", &[0.0f32; 3]), &["device"])?;
    names(session.compile(&g).map(|_| ()), &["device"])
}

/// Expects an error whose text has all of `parts`.
fn names(result: smoothenc::Result<()>, parts: &[&str]) -> Verdict {
    match result {
        Ok(()) => Err(format!("no error, where one about {parts:?} should be").into()),
        Err(error) if parts.iter().all(|part| error.to_string().contains(part)) => Ok(()),
        Err(error) => Err(format!("{error}: does not name {parts:?}").into()),
    }
}

type Test = fn(&mut Rng) -> Verdict;

pub fn trials(gpu: bool) -> Vec<Trial> {
    let tests: [(&str, Test); 6] = [
        ("long_run", long_run),
        ("large_copies", large_copies),
        ("aliased_bindings", aliased_bindings),
        ("too_large", too_large),
        ("tuned", tuned),
        ("lost_device", lost_device),
    ];
    let trials =
        tests.map(|(name, test)| trial(format!("device::{name}::gpu"), test).with_ignored_flag(!gpu));
    trials.into()
}
