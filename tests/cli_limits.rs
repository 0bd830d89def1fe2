//! What the machine has no room for: one clear error, exit code 2, and nothing half written.

mod common;

use common::{Lab, Outcome, outcome, snapshot};
use smoothenc::engine::device::gpu::adapter;

/// The limits of a GPU are looked at before the training, also those of what comes after it.
#[test]
fn models_that_a_gpu_can_train_and_not_measure() {
    if adapter::adapters().is_empty() {
        return;
    }
    let lab = Lab::new();
    let line =
        "train --config base.toml --out run --device gpu --hidden 8 --latent 65536 --batch 8 --iterations 2";
    lab.refused(2, &format!("{line} --no-attack"), &["scratch memory", "--latent", "--device cpu"]);
}

/// The shell limits the program's memory; no folder is left of a model that does not fit.
#[test]
#[cfg(target_os = "linux")]
fn models_that_memory_has_no_room_for() {
    let lab = Lab::new();
    let before = snapshot(&lab.path("."));
    let line = "train --config base.toml --out run --hidden 40000,40000";
    lab.judge(2, line, &within(&lab, 4000, line), &["not so much memory", "--hidden"]);
    assert!(snapshot(&lab.path(".")) == before);
}

/// Wherever memory ends, the program says so, and nothing half written is left.
#[test]
#[cfg(target_os = "linux")]
fn memory_that_ends_in_the_midst() {
    let lab = Lab::new();
    let (mut told, mut ended_by_allocator) = (0, 0);
    let settings =
        "--device cpu --iterations 3 --hidden 16 --attack-steps 1 --attack-restarts 1 --attack-examples 9";
    for mib in (60..=400).step_by(20) {
        let train = format!("train mnist {settings} --out run{mib}");
        let ended = within(&lab, mib, &train);
        if ended.code != Some(0) {
            let error = &ended.stderr;
            assert_eq!(ended.code, Some(2), "{mib} MiB: {error}");
            assert!(error.contains("memory") && !error.contains("panicked"), "{mib} MiB: {error}");
            told += 1;
            ended_by_allocator += usize::from(error.contains("out of memory"));
            if lab.path(format!("run{mib}")).exists() {
                assert_eq!(lab.run(&format!("train --resume run{mib}")).code, Some(0), "{mib} MiB: {error}");
            }
        }
    }
    assert!(
        told > 3 && ended_by_allocator > 0,
        "{told} runs ran out of memory, {ended_by_allocator} unexpectedly"
    );
}

/// `line` run by a shell that gives it no more memory.
#[cfg(target_os = "linux")]
fn within(lab: &Lab, mib: usize, line: &str) -> Outcome {
    let program = lab.command("").get_program().to_os_string();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &format!("ulimit -v {}; exec \"$0\" {line}", mib << 10)]).arg(program);
    outcome(command.env("RAYON_NUM_THREADS", "2").current_dir(lab.path(".")))
}

#[test]
fn instructions_that_the_processor_does_not_have() {
    let lab = Lab::new();
    let line = "devices";
    let refused = outcome(lab.command(line).env("SMOOTHENC_SIMD", "mmx"));
    lab.judge(2, line, &refused, &["SMOOTHENC_SIMD", "portable"]);
    let limited = outcome(lab.command(line).env("SMOOTHENC_SIMD", "portable"));
    assert!(limited.stdout.contains("portable"), "{}", limited.stdout);
}

#[test]
fn threads_that_cannot_be() {
    let lab = Lab::new();
    for threads in ["100000", "-1", "two"] {
        let line = "train --config base.toml --out run";
        let outcome = outcome(lab.command(line).env("RAYON_NUM_THREADS", threads));
        lab.judge(2, line, &outcome, &["RAYON_NUM_THREADS", threads]);
    }
}
