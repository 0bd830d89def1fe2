//! The shaders, without a GPU: every file has its op, its test and its place in the registry; every variant validates
//! with no optional capability and translates to SPIR-V, MSL, HLSL and GLSL, which is what keeps it running on machines
//! that the tests do not run on. Texts for cooperative matrices, which only Vulkan and Metal offer, are translated to
//! SPIR-V and MSL.

use smoothenc::engine::nn::Dense;
use smoothenc::method::ops::{Ascent, Goal, Norm, SHARINGS, in_half, pgd_mlp};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use naga::back::{glsl, hlsl, msl, pipeline_constants::process_overrides, spv};
use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, ArraySize, Module, ShaderStage, StorageAccess, TypeInner};
use smoothenc::bench;
use smoothenc::engine::device::gpu::pipelines::{cooperative_text, text};
use smoothenc::engine::graph::{self, Graph};
use smoothenc::engine::kernel::{Access, Kernel};
use smoothenc::engine::ops::{self, elementwise, store};
use smoothenc::engine::recording::{Call, LARGE_BYTES, LARGE_INVOCATIONS, Target, Variant};
use smoothenc::engine::tensor::DType;
use smoothenc::kernels;

/// Overrides with more values than 0 and 1: how many.
const VALUES: &[(&str, u32)] =
    &[("FUNCTION", elementwise::Function::ALL.len() as u32), ("MODE", 4), ("GOAL", 4)];

/// More variants than this are thinned out.
const MOST_VARIANTS: usize = 128;

/// The portable base: what every WebGPU device does.
const STORAGE_BUFFERS: usize = 8;
const BASE: Workgroup = Workgroup { invocations: 256, bytes: 16 * 1024 };
/// What variants for large workgroups may have.
const LARGE: Workgroup = Workgroup { invocations: LARGE_INVOCATIONS, bytes: LARGE_BYTES };
/// What every device has whose cooperative matrices kernels can use.
const COOPERATIVE: Workgroup = Workgroup { bytes: LARGE_BYTES, ..BASE };

/// The most that a workgroup may have.
#[derive(Clone, Copy)]
struct Workgroup {
    invocations: u32,
    bytes: u32,
}

/// For each side of cooperative matrices, the subgroup sizes that kernels are for:
/// `device::gpu::adapter::cooperative_side`.
const COOPERATIVE_SUBGROUPS: &[(u32, &[u32])] = &[(8, &[8, 16, 32, 64]), (16, &[32, 64])];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn wgsl_files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|e| e == "wgsl")).collect()
}

/// The kernels of graphs, and those that only `smoothenc bench` runs.
fn all_kernels() -> impl Iterator<Item = &'static Kernel> {
    kernels().chain(bench::KERNELS.iter().copied())
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

/// Every text as the GPU back end puts it together: the portable one, and where that differs the one for devices with
/// subgroups.
fn texts(kernel: &Kernel) -> Vec<(bool, String)> {
    let [plain, subgroups] = [false, true].map(|subgroups| (subgroups, text(kernel, subgroups)));
    if plain.1 == subgroups.1 { vec![plain] } else { vec![plain, subgroups] }
}

fn parse(text: &str) -> Module {
    naga::front::wgsl::parse_str(text).unwrap_or_else(|e| panic!("{}", e.emit_to_string(text)))
}

/// Validates with no optional capability but `capabilities`.
fn validate(name: &str, module: &Module, capabilities: Capabilities, text: &str) -> ModuleInfo {
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    if capabilities.contains(Capabilities::SUBGROUP) {
        validator.subgroup_stages(ShaderStages::COMPUTE).subgroup_operations(SubgroupOperationSet::all());
    }
    validator.validate(module).unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(text)))
}

#[test]
fn every_shader_has_its_op_its_test_and_its_place() {
    let files: BTreeSet<_> = wgsl_files("shaders").iter().map(|path| stem(path)).collect();
    let names: BTreeSet<_> = kernels().map(|kernel| kernel.name.to_string()).collect();
    assert_eq!(files, names, "shaders/*.wgsl and the rooms' ops::KERNELS");
    assert_eq!(names.len(), kernels().count(), "a name twice in ops::KERNELS");
    let files: BTreeSet<_> = wgsl_files("shaders/bench").iter().map(|path| stem(path)).collect();
    let measuring: BTreeSet<_> = bench::KERNELS.iter().map(|kernel| kernel.name.to_string()).collect();
    assert_eq!(files, measuring, "shaders/bench/*.wgsl and bench::KERNELS");
    let suites = fs::read_to_string(root().join("kernels-tests/main.rs")).unwrap();
    for name in &names {
        let places = |parts: &[&str]| parts.iter().filter(|part| root().join(part).is_file()).count();
        let [engine, method] = ["engine", "method"].map(|room| format!("src/{room}/ops/{name}.rs"));
        assert_eq!(places(&[&engine, &method]), 1, "{engine} or {method} for shaders/{name}.wgsl");
        assert_eq!(places(&[&format!("kernels-tests/{name}.rs")]), 1, "a test for shaders/{name}.wgsl");
        let entry = format!("(\"{name}\", {name}::cases)");
        assert!(suites.contains(&entry), "kernels-tests/main.rs does not list {entry}");
    }
}

#[test]
fn every_kernel_is_made_of_the_files_in_the_gallery() {
    let read = |path: &PathBuf| fs::read_to_string(path).unwrap();
    let common: Vec<_> = wgsl_files("shaders/common").iter().map(read).collect();
    for kernel in all_kernels() {
        let (own, shared) = kernel.wgsl.split_last().unwrap();
        let measures = bench::KERNELS.iter().any(|k| std::ptr::eq(*k, kernel));
        let folder = if measures { "shaders/bench" } else { "shaders" };
        let file = read(&root().join(format!("{folder}/{}.wgsl", kernel.name)));
        assert_eq!(*own, file, "{}: the last file is not its own", kernel.name);
        let made = shared.iter().filter(|text| common.iter().all(|c| c != *text)).count();
        // The table of elementwise functions.
        assert_eq!(made, usize::from(kernel.name == "elementwise"), "{}", kernel.name);
        let header = format!("// {}:", kernel.name);
        assert!(file.starts_with(&header), "{}.wgsl does not begin with {header}", kernel.name);
    }
    for (path, text) in wgsl_files("shaders/common").iter().zip(&common) {
        let plain = kernels().any(|kernel| texts(kernel).iter().any(|(_, whole)| whole.contains(text)));
        let mut cooperative =
            kernels().flat_map(|k| cooperative(k).into_iter().map(move |(side, _)| (k, side)));
        let used = plain || cooperative.any(|(kernel, side)| cooperative_text(kernel, side).contains(text));
        assert!(used, "{} is used by no kernel", path.display());
    }
}

/// Names, types and order of what a kernel declares are those of its WGSL.
#[test]
fn declarations_are_what_the_shaders_say() {
    for kernel in all_kernels() {
        check_declaration(kernel, &parse(&text(kernel, false)), "");
        // A text for cooperative matrices may take more constants than the other, but not fewer.
        for (side, _) in cooperative(kernel) {
            check_declaration(kernel, &parse(&cooperative_text(kernel, side)), ", cooperative matrices");
        }
        for (name, value) in call_with_variants(kernel).iter().flat_map(|call| &call.constants) {
            assert!(kernel.constants.contains(name), "{}: {name} = {value} is not declared", kernel.name);
        }
    }
}

fn check_declaration(kernel: &Kernel, module: &Module, which: &str) {
    let what = format!("{}{which}", kernel.name);
    assert!(kernel.bindings.len() <= STORAGE_BUFFERS, "{what}: too many storage buffers");
    let bound = |binding: u32| {
        let mut at = module.global_variables.iter().map(|(_, global)| global);
        at.find(|global| global.binding.is_some_and(|at| at.group == 0 && at.binding == binding))
    };
    let count = module.global_variables.iter().filter(|(_, global)| global.binding.is_some()).count();
    assert_eq!(count, 1 + kernel.bindings.len(), "{what}: bindings");

    let params = bound(0).unwrap_or_else(|| panic!("{what}: no binding 0"));
    assert_eq!(params.space, AddressSpace::Uniform, "{what}: binding 0");
    let TypeInner::Struct { members, .. } = &module.types[params.ty].inner else {
        panic!("{what}: binding 0 is no struct")
    };
    let names: Vec<_> = members.iter().map(|member| member.name.as_deref().unwrap()).collect();
    let declared: Vec<_> = kernel.params.iter().map(|member| member.name).collect();
    assert_eq!(names, declared, "{what}: members of the uniform block");
    let mut offset = 0;
    for (member, declared) in members.iter().zip(kernel.params) {
        let what = format!("{what}: {}", declared.name);
        assert_eq!(member.offset, offset, "{what}: padding before it");
        assert_eq!(words(module, member.ty), Some((declared.dtype, declared.words)), "{what}");
        offset += 4 * declared.words as u32;
    }

    for (declared, at) in kernel.bindings.iter().zip(1..) {
        let what = format!("{what}: binding {at}");
        let global = bound(at).unwrap_or_else(|| panic!("{what} is missing"));
        assert_eq!(global.name.as_deref(), Some(declared.name), "{what}");
        let access = match declared.access {
            Access::Read => StorageAccess::LOAD,
            Access::Write => StorageAccess::LOAD | StorageAccess::STORE,
        };
        assert_eq!(global.space, AddressSpace::Storage { access }, "{what}");
        let TypeInner::Array { base, size: ArraySize::Dynamic, .. } = module.types[global.ty].inner else {
            panic!("{what} is no array")
        };
        // A text for cooperative matrices may take words for pairs of halves, and labels that it never has for heads.
        let dtype = words(module, base).map(|(dtype, _)| dtype);
        assert!(!which.is_empty() || dtype == Some(declared.dtype), "{what} is of {dtype:?}");
    }

    let offered =
        offered(kernel).into_iter().chain(cooperative(kernel).into_iter().map(|(_, of)| (COOPERATIVE, of)));
    let offered: BTreeSet<_> = offered.flat_map(|(_, constants)| constants).map(|(name, _)| name).collect();
    let declared = kernel.constants.iter().map(|name| name.to_string());
    let declared: BTreeSet<_> = declared.chain(offered).chain(["SUBGROUP".into()]).collect();
    // Overrides that are computed from others are not set.
    let free = module.overrides.iter().map(|(_, over)| over);
    let free = free.filter(|over| {
        over.init.is_some_and(|init| matches!(module.global_expressions[init], naga::Expression::Literal(_)))
    });
    let free: BTreeSet<_> = free.map(|over| over.name.clone().unwrap()).collect();
    assert!(free.is_subset(&declared), "{what}: nobody sets {:?}", free.difference(&declared));
    let missing = kernel.constants.iter().find(|name| !free.contains(**name));
    // The text for cooperative matrices lacks some variants, and so their overrides.
    assert!(!which.is_empty() || missing.is_none(), "{what}: no override {missing:?}");
}

/// What a type's words are, and how many it has: of a scalar, a vector of four, or an array of such.
fn words(module: &Module, ty: naga::Handle<naga::Type>) -> Option<(DType, usize)> {
    let dtype = |scalar: naga::Scalar| match (scalar.kind, scalar.width) {
        (naga::ScalarKind::Uint, 4) => Some(DType::U32),
        (naga::ScalarKind::Float, 4) => Some(DType::F32),
        _ => None,
    };
    match module.types[ty].inner {
        TypeInner::Scalar(scalar) => Some((dtype(scalar)?, 1)),
        TypeInner::Vector { size, scalar } => Some((dtype(scalar)?, size as usize)),
        TypeInner::Array { base, size: ArraySize::Constant(count), .. } => {
            let (dtype, each) = words(module, base)?;
            Some((dtype, each * count.get() as usize))
        }
        _ => None,
    }
}

/// A call of a kernel that offers a GPU several variants, those for cooperative matrices included.
fn call_with_variants(kernel: &Kernel) -> Option<Call> {
    let mut g = Graph::new();
    let mut float = |name: &str, shape: [usize; 2]| g.variable(name, shape, DType::F32).unwrap();
    match kernel.name {
        "matmul" => {
            let [a, b, c] = ["a", "b", "c"].map(|name| float(name, [4, 4]));
            let bias = float("bias", [1, 4]);
            let product = ops::half_linear(&mut g, a, b, bias, false).unwrap();
            store(&mut g, product, c).unwrap();
        }
        "pgd_mlp" => {
            let [weights, x, reference, x_adv] =
                [("weights", [2, 64]), ("x", [16, 8]), ("r", [16, 2]), ("y", [16, 8])]
                    .map(|(name, shape)| float(name, shape));
            let layers = vec![Dense { outputs: 2, weight: 0, bias: 64, relu: false }];
            let (weights, points) = in_half(&mut g, weights, &layers, x).unwrap();
            let goal = Goal::W2 { reference };
            let (norm, eps, step, steps, start) = (Norm::Linf, 0.1, 0.1, 1, None);
            let points = Some(points);
            let ascent = Ascent { weights, layers, goal, norm, eps, step, fall: 0.0, steps, start, points };
            pgd_mlp(&mut g, x_adv, x, ascent).unwrap();
        }
        _ => return None,
    };
    let recording = graph::plan(&g).recording;
    recording.calls().map(|(call, _)| call.clone()).find(|call| std::ptr::eq(call.kernel, kernel))
}

/// Values of `override` constants by name.
type Constants = Vec<(String, f64)>;

fn constants(of: &[(&str, u32)]) -> Constants {
    of.iter().map(|(name, value)| (name.to_string(), f64::from(*value))).collect()
}

/// The variants that ops offer of a kernel, besides the overrides that are switches, and the largest workgroup of each.
fn offered(kernel: &Kernel) -> Vec<(Workgroup, Constants)> {
    let Some(call) = call_with_variants(kernel) else { return vec![(BASE, Vec::new())] };
    let plain = call.variants.iter().filter(|variant| variant.target.cooperative_side().is_none());
    // Every GPU must run one.
    assert!(plain.clone().any(|v| v.target == Target::Any), "{}: none for every GPU", kernel.name);
    let last = plain.clone().next_back();
    assert!(last.is_some_and(|v| v.target != Target::LargeWorkgroups), "{}: the last is large", kernel.name);
    let most = |v: &Variant| if v.target == Target::LargeWorkgroups { LARGE } else { BASE };
    let plain: Vec<_> = plain.map(|v| (most(v), constants(&v.constants))).collect();
    let count = if kernel.name == "matmul" { ops::TILINGS } else { SHARINGS };
    assert_eq!(plain.len(), count, "{}", kernel.name);
    plain
}

/// The variants of a kernel for cooperative matrices: the matrices' side, and the constants.
fn cooperative(kernel: &Kernel) -> Vec<(u32, Constants)> {
    let variants = call_with_variants(kernel).map_or(Vec::new(), |call| call.variants);
    let cooperative = |v: &Variant| v.target.cooperative_side().map(|side| (side, constants(&v.constants)));
    variants.iter().filter_map(cooperative).collect()
}

/// The values of all overrides, variant by variant. The first has the defaults.
fn variants(kernel: &Kernel, module: &Module) -> Vec<Constants> {
    let mut variants: Vec<Constants> = vec![Vec::new()];
    for (_, over) in module.overrides.iter() {
        let name = over.name.clone().unwrap_or_else(|| panic!("{}: an override without a name", kernel.name));
        let default = over.init.map(|init| &module.global_expressions[init]);
        assert!(default.is_some(), "{}: {name} has no default", kernel.name);
        // A switch is 0 by default; anything else (a size) is left as it is.
        let switch = matches!(
            default,
            Some(naga::Expression::Literal(naga::Literal::U32(0) | naga::Literal::AbstractInt(0)))
        );
        let values = VALUES.iter().find(|(n, _)| *n == name).map_or(2, |(_, values)| *values);
        if switch {
            let extended = variants.iter().flat_map(|variant| {
                let name = name.clone();
                (0..values).map(move |v| [&variant[..], &[(name.clone(), f64::from(v))]].concat())
            });
            variants = extended.collect();
        }
    }
    let step = variants.len().div_ceil(MOST_VARIANTS);
    let last = variants.len() - 1;
    let kept = variants.into_iter().enumerate().filter(|(i, _)| i % step == 0 || *i == last);
    kept.map(|(_, variant)| variant).collect()
}

#[test]
fn every_variant_validates_translates_and_fits_the_base() {
    let each = all_kernels().flat_map(|kernel| texts(kernel).into_iter().map(move |text| (kernel, text)));
    for (kernel, (subgroups, text)) in each {
        let module = parse(&text);
        let capabilities = if subgroups { Capabilities::SUBGROUP } else { Capabilities::empty() };
        let info = validate(kernel.name, &module, capabilities, &text);
        let offered = offered(kernel);
        let all = variants(kernel, &module).into_iter();
        let all = all.flat_map(|v| offered.iter().map(move |(most, more)| (*most, [&v[..], more].concat())));
        for (most, variant) in all {
            let through = if subgroups { ", subgroups" } else { "" };
            let what = format!("{}{through} {variant:?}", kernel.name);
            let (module, info) = resolve(&what, &module, &info, variant);
            validate(kernel.name, &module, capabilities, &text);
            assert_fits(&what, &module, most);
            translate(&what, &module, &info, capabilities);
        }
    }
}

#[test]
fn every_variant_for_cooperative_matrices_validates_translates_and_fits_them() {
    let capabilities =
        Capabilities::SUBGROUP | Capabilities::SHADER_FLOAT16 | Capabilities::COOPERATIVE_MATRIX;
    let mut files = BTreeSet::new();
    for kernel in kernels() {
        for (side, offered) in cooperative(kernel) {
            files.insert(kernel.name.to_string());
            let text = cooperative_text(kernel, side);
            let own =
                fs::read_to_string(root().join(format!("shaders/cooperative/{}.wgsl", kernel.name))).unwrap();
            assert_eq!(*kernel.cooperative.last().unwrap(), own, "{}", kernel.name);
            assert!(
                own.starts_with(&format!("// {}, with cooperative matrices:", kernel.name)),
                "{}",
                kernel.name
            );
            let module = parse(&text);
            let info = validate(kernel.name, &module, capabilities, &text);
            let (_, subgroups) = COOPERATIVE_SUBGROUPS.iter().find(|(of, _)| *of == side).unwrap();
            for variant in variants(kernel, &module) {
                for &subgroup in *subgroups {
                    let size = ("SUBGROUP".to_string(), f64::from(subgroup));
                    let variant = [&variant[..], &offered, &[size]].concat();
                    let what = format!("{}, cooperative matrices of {} {variant:?}", kernel.name, side);
                    let (module, info) = resolve(&what, &module, &info, variant);
                    validate(kernel.name, &module, capabilities, &text);
                    assert_fits(&what, &module, COOPERATIVE);
                    translate(&what, &module, &info, capabilities);
                }
            }
        }
    }
    assert_eq!(files, wgsl_files("shaders/cooperative").iter().map(|path| stem(path)).collect());
}

/// The module with these values of its overrides.
fn resolve(what: &str, module: &Module, info: &ModuleInfo, variant: Constants) -> (Module, ModuleInfo) {
    let entry = Some((ShaderStage::Compute, "main"));
    let constants = variant.into_iter().collect();
    let (module, info) =
        process_overrides(module, info, entry, &constants).unwrap_or_else(|e| panic!("{what}: {e}"));
    (module.into_owned(), info.into_owned())
}

fn assert_fits(what: &str, module: &Module, most: Workgroup) {
    let [entry] = &module.entry_points[..] else { panic!("{what}: one entry point") };
    assert_eq!(entry.name, "main", "{what}");
    let [x, y, z] = entry.workgroup_size;
    assert!(x * y * z <= most.invocations && z <= 64, "{what}: {x} x {y} x {z} invocations");
    let mut layouts = naga::proc::Layouter::default();
    layouts.update(module.to_ctx()).unwrap();
    let workgroup = module.global_variables.iter().filter(|(_, g)| g.space == AddressSpace::WorkGroup);
    let bytes: u32 = workgroup.map(|(_, g)| layouts[g.ty].size.next_multiple_of(16)).sum();
    assert!(bytes <= most.bytes, "{what}: {bytes} bytes of workgroup memory");
}

/// Subgroups and cooperative matrices need newer versions of the languages, which wgpu chooses where a device has them.
fn translate(what: &str, module: &Module, info: &ModuleInfo, capabilities: Capabilities) {
    let stage = ShaderStage::Compute;
    let subgroups = capabilities.contains(Capabilities::SUBGROUP);
    let cooperative = capabilities.contains(Capabilities::COOPERATIVE_MATRIX);
    let entry = || Some((stage, "main".to_string()));

    let lang_version = if subgroups { (1, 3) } else { spv::Options::default().lang_version };
    let version = spv::Options { lang_version, ..Default::default() };
    let options = spv::PipelineOptions { shader_stage: stage, entry_point: "main".into() };
    let words = spv::write_vec(module, info, &version, Some(&options));
    assert!(!words.unwrap_or_else(|e| panic!("{what}, SPIR-V: {e}")).is_empty());

    let lang_version = match (subgroups, cooperative) {
        (_, true) => (2, 3),
        (true, false) => (2, 1),
        (false, false) => (2, 0),
    };
    let options = msl::Options { lang_version, ..Default::default() };
    let pipeline = msl::PipelineOptions { entry_point: entry(), ..Default::default() };
    let written = msl::write_string(module, info, &options, &pipeline);
    let (text, translated) = written.unwrap_or_else(|e| panic!("{what}, MSL: {e}"));
    assert!(text.contains("kernel") && translated.entry_point_names[0].is_ok(), "{what}, MSL");
    if cooperative {
        return;
    }

    let shader_model =
        if subgroups { hlsl::ShaderModel::V6_0 } else { hlsl::Options::default().shader_model };
    let (mut text, options) = (String::new(), hlsl::Options { shader_model, ..Default::default() });
    let pipeline = hlsl::PipelineOptions { entry_point: entry() };
    let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None);
    let names = written.unwrap_or_else(|e| panic!("{what}, HLSL: {e}")).entry_point_names;
    assert!(text.contains("numthreads") && names[0].is_ok(), "{what}, HLSL");

    let (mut text, options) = (String::new(), glsl::Options::default());
    let pipeline = glsl::PipelineOptions { shader_stage: stage, entry_point: "main".into(), multiview: None };
    let policies = naga::proc::BoundsCheckPolicies::default();
    let writer = glsl::Writer::new(&mut text, module, info, &options, &pipeline, policies);
    let written = writer.and_then(|mut writer| writer.write());
    written.unwrap_or_else(|e| panic!("{what}, GLSL: {e}"));
    assert!(text.contains("local_size_x"), "{what}, GLSL");
}

/// The suite above must be able to fail: a kernel that WGSL's rules forbid is refused.
#[test]
fn a_wrong_kernel_is_refused() {
    let good = text(kernels().find(|k| k.name == "fill").unwrap(), false);
    let parses = |text: &str| naga::front::wgsl::parse_str(text);
    let valid = |text: &str| {
        let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
        parses(text).is_ok_and(|module| validator.validate(&module).is_ok())
    };
    assert!(valid(&good));
    assert!(!valid(&good.replace("p.value", "p.n")), "a wrong type");
    assert!(!valid(&good.replace("read_write", "read")), "a write to a read-only buffer");
    assert!(parses(&good.replace("@compute", "@computed")).is_err());
}
