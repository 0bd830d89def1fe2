//! Which variant of a call is the fastest on this device: measured once, and kept on disk.
//!
//! The variants of a call sum in different orders, so a resumed run must use the variant it started with. A choice is
//! therefore written to the file before it is used, even where there was no time to measure. Where another process has
//! written a choice in the meantime, that one is taken.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Buffer, Gpu, Program, adapter};
use crate::engine::kernel::{BufferId, NONE};
use crate::engine::recording::{BufferSpec, Call, Recording, Step, Target, Variant};
use crate::error::{Error, Result};
use crate::files;

/// Time for measuring in a process, most of which goes into compiling. Calls met after it get their usual variant.
const MOST_TIME: Duration = Duration::from_millis(4000);
/// A sample is as many calls as take about this long, so that the cost of submitting them is small beside them.
const SAMPLE_SECONDS: f64 = 0.001;
const MOST_REPETITIONS: f64 = 64.0;
const SAMPLES: usize = 3;
/// The mark in the file of a choice that was made without measuring, because time had run out.
const UNMEASURED: &str = ", not measured";
/// Time of work after which a GPU runs at its full clock.
const WARM_UP: Duration = Duration::from_millis(30);
/// The most choices of a device in the file, and the most devices. An experiment has some dozens of choices; calls
/// beyond the limit have their usual variant.
const MOST_CALLS: usize = 2000;
const MOST_DEVICES: usize = 16;
/// A variant whose first run takes this many times as long as the fastest so far is not measured further.
const HOPELESS: f64 = 2.0;

/// The name of the variant chosen for each call, by [`key`].
pub(crate) type VariantNames = BTreeMap<String, String>;
/// The content of the file: for each device, its choices.
pub(crate) type Devices = BTreeMap<String, VariantNames>;

/// The choices of a device and the file they are in.
#[derive(Debug)]
pub(super) struct Tune {
    file: PathBuf,
    /// The device's key in the file: another driver or another version of the kernels measures anew.
    device: String,
    variants: VariantNames,
    spent: Duration,
    /// Whether to measure without a limit of time, also the calls that were left unmeasured before.
    everything: bool,
}

impl Gpu {
    /// From now on takes the fastest variants, found in `file` or measured and written there. Measures for at most a
    /// few seconds of a process; with `everything` without a limit, also calls that were left unmeasured before.
    pub fn tune(&self, file: PathBuf, everything: bool) {
        let info = &self.0.info;
        let (name, backend, version) = (&info.name, info.backend, env!("CARGO_PKG_VERSION"));
        let driver = [info.driver.as_str(), info.driver_info.as_str()].join(" ");
        let device = format!("{name}, {backend}, {}, smoothenc {version}", driver.trim());
        let variants = read(&file).remove(&device).unwrap_or_default();
        *self.0.tune.borrow_mut() = Some(Tune { file, device, variants, spent: Duration::ZERO, everything });
    }

    /// The name of the variant in which the device runs a call; `None` where there is nothing to choose. For reports
    /// and tests.
    pub fn variant_of(&self, call: &Call) -> Option<String> {
        let kept = self.0.tune.borrow().as_ref().and_then(|tune| tune.variant(call));
        let number = kept.filter(|&i| self.runs(&call.variants[i])).or_else(|| self.usual(call))?;
        Some(variant_name(&call.variants[number]))
    }

    /// Whether the device is one of those that a variant is for.
    fn runs(&self, variant: &Variant) -> bool {
        match variant.target {
            Target::Any => true,
            Target::LargeWorkgroups => adapter::large_workgroups(&self.0.limits),
            Target::Software => !adapter::is_real(&self.0.info),
            Target::CooperativeMatrix { side } => self.0.cooperative_side == Some(side),
        }
    }

    /// The number of the variant that is taken without measuring: that of the options, or the last, of those with
    /// cooperative matrices where the device runs any, else of the others. `None` where there is nothing to choose.
    fn usual(&self, call: &Call) -> Option<usize> {
        let of = |cooperative: bool| {
            let able = |v: &Variant| v.target.cooperative_side().is_some() == cooperative && self.runs(v);
            let able: Vec<usize> = (0..call.variants.len()).filter(|&i| able(&call.variants[i])).collect();
            able.get(self.0.variant).or(able.last()).copied()
        };
        of(true).or_else(|| of(false))
    }

    /// The calls with their variants chosen.
    pub(super) fn choose<'a>(&self, calls: impl Iterator<Item = &'a Call>) -> Result<Vec<Cow<'a, Call>>> {
        let calls: Vec<&Call> = calls.collect();
        let usual = |call: &Call| self.usual(call);
        // Taken out while it measures: compiling what it measures comes back to this function.
        let tune = self.0.tune.borrow_mut().take();
        let Some(mut tune) = tune else {
            return Ok(calls.into_iter().map(|call| chosen(call, usual(call))).collect());
        };
        let measured = tune.learn(self, &calls);
        let kept = |call: &Call| tune.variant(call).filter(|&i| self.runs(&call.variants[i]));
        let choose = |call: &'a Call| chosen(call, kept(call).or_else(|| usual(call)));
        let calls = calls.into_iter().map(choose).collect();
        *self.0.tune.borrow_mut() = Some(tune);
        measured.map(|()| calls)
    }
}

/// The call as its variant of this number.
fn chosen(call: &Call, variant: Option<usize>) -> Cow<'_, Call> {
    variant.map_or(Cow::Borrowed(call), |variant| Cow::Owned(call.chosen(variant)))
}

impl Tune {
    /// The number of the variant chosen before for a call, if the call still offers it.
    fn variant(&self, call: &Call) -> Option<usize> {
        let name = self.variants.get(&key(call))?;
        let name = name.strip_suffix(UNMEASURED).unwrap_or(name);
        call.variants.iter().position(|variant| *name == variant_name(variant))
    }

    /// Whether the choice for a call was made without measuring.
    fn unmeasured(&self, call: &Call) -> bool {
        self.variants.get(&key(call)).is_some_and(|name| name.ends_with(UNMEASURED))
    }

    /// Chooses variants for the calls that offer several and have no choice yet.
    fn learn(&mut self, gpu: &Gpu, calls: &[&Call]) -> Result<()> {
        let mut new = VariantNames::new();
        for call in calls.iter().filter(|call| call.variants.len() > 1) {
            let kept = self.variant(call).is_some_and(|i| gpu.runs(&call.variants[i]));
            let kept = kept && !(self.everything && self.unmeasured(call));
            let full = self.variants.len() + new.len() >= MOST_CALLS;
            if kept || full || new.contains_key(&key(call)) {
                continue;
            }
            let start = Instant::now();
            let most = if self.everything { Duration::MAX } else { MOST_TIME };
            let fastest = match most.checked_sub(self.spent) {
                Some(left) => fastest(gpu, call, start.checked_add(left))?,
                None => None,
            };
            self.spent += start.elapsed();
            let name = match fastest.or(gpu.usual(call)) {
                Some(variant) => variant_name(&call.variants[variant]),
                None => continue,
            };
            let name = if fastest.is_some() { name } else { name + UNMEASURED };
            log::debug!("{}: {name}, chosen in {:.0?}", key(call), start.elapsed());
            new.insert(key(call), name);
        }
        if !new.is_empty() {
            self.keep(new);
        }
        Ok(())
    }

    /// Adds `new` to the choices and to the file. Where another process has chosen in the meantime, its choice is kept.
    fn keep(&mut self, new: VariantNames) {
        let mut devices = read(&self.file);
        let kept = devices.entry(self.device.clone()).or_default();
        // Another process may have removed this device's choices to make room.
        for (key, name) in &self.variants {
            kept.entry(key.clone()).or_insert_with(|| name.clone());
        }
        for (key, name) in new {
            // An entry that this process knew is replaced: its variant is no longer offered, or was not measured.
            if kept.get(&key) == self.variants.get(&key) {
                kept.insert(key, name);
            }
        }
        self.variants = kept.clone();
        forget(&mut devices, &self.device);
        if let Err(error) = write(&self.file, &devices) {
            log::warn!("{error}: the choice of kernels is not kept, and the next run may choose others");
        }
    }
}

/// Keeps the file from growing without bound: removes other devices where there are too many.
fn forget(devices: &mut Devices, device: &str) {
    while devices.len() > MOST_DEVICES {
        let Some(other) = devices.keys().find(|name| *name != device).cloned() else { break };
        devices.remove(&other);
    }
}

/// The key of a call in the file: the kernel, its constants and the sizes of its work. Values in the uniform block (a
/// seed, a step size, a radius) are left out: they do not change the time and must not change the choice.
fn key(call: &Call) -> String {
    let sizes: Vec<_> = call.args.iter().map(|arg| arg.view.words.to_string()).collect();
    let (name, constants, sizes) = (call.kernel.name, text(&call.constants), sizes.join(" "));
    let offered = call.variants.len();
    format!(
        "{name} {constants} of {} rows, words {sizes}, {} flops, {offered} variants",
        call.rows, call.flops
    )
}

/// How the file and reports name a variant; runs that are resumed find their variants by it.
fn variant_name(variant: &Variant) -> String {
    let side = variant.target.cooperative_side();
    let cooperative = side.map_or(String::new(), |side| format!(" on matrix units of {side}"));
    text(&variant.constants) + &cooperative
}

fn text(constants: &[(&'static str, u32)]) -> String {
    constants.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

/// The number of the fastest of the variants that can be measured until `deadline`, if there is one; `None` where the
/// time suffices for one only.
fn fastest(gpu: &Gpu, call: &Call, deadline: Option<Instant>) -> Result<Option<usize>> {
    let late = || deadline.is_some_and(|deadline| Instant::now() > deadline);
    // Measures in memory of its own, since the call's memory may hold data.
    let mut call = call.clone();
    let mut specs = vec![BufferSpec::scratch(NONE.words)];
    for arg in call.args.iter_mut().filter(|arg| arg.view != NONE) {
        (arg.view.buffer, arg.view.offset) = (BufferId(specs.len() as u32), 0);
        specs.push(BufferSpec::scratch(arg.view.words));
    }
    let memory = specs.iter().map(|spec| Buffer::new(gpu, "memory to measure in", spec.words));
    let memory: Vec<_> = (0..).map(BufferId).zip(memory.collect::<Result<Vec<_>>>()?).collect();
    let program = |variant: usize, times: usize| {
        let steps = vec![Step::Repeat { times, body: vec![call.chosen(variant)] }];
        Program::new(gpu, Recording { buffers: specs.clone(), steps }, &memory)
    };
    // The usual one first, since it is kept where there is no time for others. All are compiled before any is measured,
    // since a GPU lowers its clock while the host compiles.
    let usual = gpu.usual(&call).unwrap_or(0);
    let able = (0..call.variants.len()).filter(|&i| i != usual && gpu.runs(&call.variants[i]));
    let began = Instant::now();
    let mut compiled = Vec::new();
    for variant in std::iter::once(usual).chain(able) {
        if late() {
            break;
        }
        let mut once = program(variant, 1)?;
        seconds(gpu, &mut once)?; // Compiles it, on some drivers.
        compiled.push((variant, once));
    }
    let (waited, start) = (began.elapsed(), Instant::now());
    let [(_, first), _, ..] = &mut compiled[..] else { return Ok(None) };
    while waited > WARM_UP && start.elapsed() < WARM_UP {
        seconds(gpu, first)?;
    }
    let (mut best, mut least) = (None, f64::INFINITY);
    for (variant, mut once) in compiled {
        if late() && best.is_some() {
            break;
        }
        let first = seconds(gpu, &mut once)?;
        if first > HOPELESS * least.max(SAMPLE_SECONDS) {
            continue;
        }
        let times = (SAMPLE_SECONDS / first).clamp(1.0, MOST_REPETITIONS) as usize;
        let mut program = program(variant, times)?;
        let samples = (0..SAMPLES).map(|_| Ok(seconds(gpu, &mut program)? / times as f64));
        let each = samples.collect::<Result<Vec<f64>>>()?.into_iter().fold(f64::INFINITY, f64::min);
        log::debug!("{}: {:.1} us as {}", key(&call), 1e6 * each, variant_name(&call.variants[variant]));
        if each < least {
            (best, least) = (Some(variant), each);
        }
    }
    Ok(best)
}

/// Wall time of one run, since not every device has time stamps.
fn seconds(gpu: &Gpu, program: &mut Program) -> Result<f64> {
    let start = Instant::now();
    program.run()?;
    gpu.finish()?;
    Ok(start.elapsed().as_secs_f64())
}

/// The content of the file; empty where it is missing or damaged.
fn read(file: &Path) -> Devices {
    let damaged = |why: &dyn std::fmt::Display| {
        log::warn!("{}: {why}; the kernels are measured anew", file.display());
        Devices::new()
    };
    match fs::read_to_string(file) {
        Ok(text) => parse(&text).unwrap_or_else(|error| damaged(&error)),
        Err(error) if error.kind() == ErrorKind::NotFound => Devices::new(),
        Err(error) => damaged(&error),
    }
}

/// The choices of each device in the file's text.
pub(crate) fn parse(text: &str) -> serde_json::Result<Devices> {
    serde_json::from_str(text)
}

fn write(file: &Path, devices: &Devices) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    let text = serde_json::to_string_pretty(devices).map_err(|error| Error::run(error.to_string()))?;
    files::write_whole_among_others(file, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ops::KERNELS;

    fn call(m: u32) -> Call {
        let call = Call::new(KERNELS[0], vec![7, 200], vec![("BIAS", 1)], vec![]).flops(m as usize);
        let call = call.variant(Target::Any, &[("ROWS", 4)], [1, 2, 1]);
        call.variant(Target::Any, &[("ROWS", 8)], [1, 1, 1])
    }

    fn tune(file: &Path) -> Tune {
        let variants = read(file).remove("a device").unwrap_or_default();
        Tune {
            file: file.into(),
            device: "a device".into(),
            variants,
            spent: Duration::ZERO,
            everything: false,
        }
    }

    fn new(m: u32, name: &str) -> VariantNames {
        VariantNames::from([(key(&call(m)), name.to_string())])
    }

    #[test]
    fn variants_keep_the_names_that_files_have() {
        let name =
            |target| variant_name(&Variant { target, constants: vec![("WIDE", 2)], workgroups: [1; 3] });
        for target in [Target::Any, Target::LargeWorkgroups, Target::Software] {
            assert_eq!(name(target), "WIDE=2");
        }
        assert_eq!(name(Target::CooperativeMatrix { side: 16 }), "WIDE=2 on matrix units of 16");
    }

    #[test]
    fn a_choice_is_found_again_by_another_process() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("caches/smoothenc/tune.json");
        tune(&file).keep(new(3, "ROWS=8"));
        let mut again = tune(&file);
        assert_eq!((again.variant(&call(3)), again.variant(&call(4))), (Some(1), None));
        again.keep(new(4, "ROWS=4"));
        assert_eq!((tune(&file).variant(&call(3)), tune(&file).variant(&call(4))), (Some(1), Some(0)));
        let other = Tune { device: "another".into(), variants: VariantNames::new(), ..tune(&file) };
        assert_eq!(other.variant(&call(3)), None);
        assert_eq!(
            fs::read_dir(file.parent().unwrap()).unwrap().count(),
            1,
            "something is left beside the file"
        );
    }

    #[test]
    fn what_another_process_chose_meanwhile_holds() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tune.json");
        let (mut one, mut other) = (tune(&file), tune(&file));
        one.keep(new(3, "ROWS=8"));
        other.keep(new(3, "ROWS=4"));
        assert_eq!(other.variant(&call(3)), Some(1));
    }

    #[test]
    fn an_unmeasured_choice_is_followed_and_known_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tune.json");
        tune(&file).keep(new(3, &format!("ROWS=8{UNMEASURED}")));
        tune(&file).keep(new(4, "ROWS=8"));
        let mut again = tune(&file);
        assert_eq!((again.variant(&call(3)), again.unmeasured(&call(3))), (Some(1), true));
        assert_eq!((again.variant(&call(4)), again.unmeasured(&call(4))), (Some(1), false));
        again.keep(new(3, "ROWS=4"));
        assert_eq!((tune(&file).variant(&call(3)), tune(&file).unmeasured(&call(3))), (Some(0), false));
    }

    #[test]
    fn what_is_offered_no_more_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tune.json");
        tune(&file).keep(new(3, "ROWS=16"));
        let mut again = tune(&file);
        assert_eq!(again.variant(&call(3)), None);
        again.keep(new(3, "ROWS=4"));
        assert_eq!(tune(&file).variant(&call(3)), Some(0));
    }

    #[test]
    fn values_make_no_difference_and_devices_are_not_kept_without_bound() {
        let other = Call { params: vec![1, 2, 3], ..call(3) };
        assert_eq!(key(&other), key(&call(3)));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tune.json");
        for device in 0..MOST_DEVICES + 5 {
            let mut tuned = Tune { device: format!("device {device}"), ..tune(&file) };
            tuned.keep(new(3, "ROWS=8"));
        }
        let devices = read(&file);
        assert_eq!(devices.len(), MOST_DEVICES);
        assert!(devices.contains_key(&format!("device {}", MOST_DEVICES + 4)));
    }

    #[test]
    fn a_damaged_file_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tune.json");
        for damaged in ["", "{\"a device\": {", "[1]", "{\"a device\": 3}"] {
            fs::write(&file, damaged).unwrap();
            let mut tuned = tune(&file);
            assert_eq!(tuned.variant(&call(3)), None);
            tuned.keep(new(3, "ROWS=8"));
            assert_eq!(tune(&file).variant(&call(3)), Some(1), "after {damaged:?}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tune.json");
        fs::create_dir(&file).unwrap();
        let mut tuned = tune(&file);
        tuned.keep(new(3, "ROWS=8"));
        assert_eq!(tuned.variant(&call(3)), Some(1));
    }
}
