use std::path::Path;

use super::*;

fn read(text: &str) -> crate::Result<Config> {
    Config::from_toml(text, "settings.toml", &Config::default())
}

/// Applies a change to sound settings and returns the refusal.
#[track_caller]
fn refused(change: impl FnOnce(&mut Config)) -> String {
    let mut config = Config::default();
    change(&mut config);
    match config.validate() {
        Err(error) if error.is_request() => error.in_full(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn presets_are_valid_and_read_back() {
    let archs = [Arch::Mlp, Arch::Conv];
    for (preset, arch) in [Preset::Quick, Preset::Paper].into_iter().flat_map(|p| archs.map(|a| (p, a))) {
        let config = preset.config(arch, "mnist");
        assert_eq!(config.arch, arch);
        config.validate().unwrap();
        let text = config.to_toml().unwrap();
        assert_eq!(read(&text).unwrap(), config, "{text}");
        // Over another base every setting still wins, "auto" and "all" included.
        let mut other =
            Config { selection_step_size: Some(0.5), latent: 7, ..Preset::Paper.config(Arch::Mlp, "mnist") };
        other.attack.examples = Some(3);
        assert_eq!(Config::from_toml(&text, "x", &other).unwrap(), config);
    }
    assert_eq!(Preset::Paper.config(Arch::Mlp, "mnist").iterations, 300_000);
    let coupling = |data, arch| {
        let config = Preset::Quick.config(arch, data);
        (config.gamma, config.gamma_warmup)
    };
    assert_eq!(archs.map(|arch| coupling("mnist", arch)), [(100.0, 0), (200.0, 1000)]);
    assert_eq!(archs.map(|arch| coupling("of-my-own", arch)), [(100.0, 0), (50.0, 0)]);
    assert_eq!(archs.map(|arch| coupling("color-mnist", arch)), [(100.0, 0), (200.0, 750)]);
}

#[test]
fn numbers_are_written_short() {
    let mut config = Config { eps: 0.1, variance: 0.02, learning_rate: 1e-3, ..Config::default() };
    config.attack.radii = vec![0.01, 0.3];
    config.attack.examples = None;
    let text = config.to_toml().unwrap();
    for line in
        ["eps = 0.1", "variance = 0.02", "learning-rate = 0.001", "radii = [0.01, 0.3]", "examples = \"all\""]
    {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(text.contains("selection-step-size = \"auto\""), "{text}");
    assert!(text.contains("objective = \"se\""), "{text}");
}

#[test]
fn single_precision_survives_the_text() {
    let mut bits = 1_u32;
    for _ in 0..20_000 {
        bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let value = f32::from_bits(bits);
        if value.is_finite() {
            assert_eq!(crate::runs::short(value) as f32, value);
        }
    }
}

#[test]
fn a_partial_file_keeps_the_base() {
    let config = read("gamma = 3\nobjective = 'beta-vae'\n[attack]\nradii = [0.3, 0.1]\n").unwrap();
    assert_eq!(config.gamma, 3.0);
    assert_eq!(config.objective, Objective::BetaVae);
    assert_eq!(config.attack.radii, [0.1, 0.3]);
    assert_eq!(config.attack.steps, 40);
    let paper = Config::from_toml("gamma = 3", "x", &Preset::Paper.config(Arch::Mlp, "mnist")).unwrap();
    assert_eq!((paper.gamma, paper.variance), (3.0, 0.25));
}

#[test]
fn faults_of_a_file_name_line_and_key() {
    let fault = |text: &str| {
        let error = read(text).unwrap_err();
        assert!(error.is_request());
        let text = error.to_string();
        assert!(!text.contains('\n'), "{text}");
        text
    };
    let text = fault("gamma = 1\nlatnet = 64\n");
    assert!(text.contains("settings.toml, line 2") && text.contains("latnet"), "{text}");
    let text = fault("[attack]\nstep = 3\n");
    assert!(text.contains("line 2") && text.contains("step"), "{text}");
    let text = fault("latent = 'many'");
    assert!(text.contains("line 1") && text.contains("latent"), "{text}");
    assert!(fault("latent = -3").contains("latent"));
    assert!(fault("objective = 'elbo'").contains("elbo"));
    assert!(fault("gamma = ").contains("line 1"));
    let text = fault("[attack]\nexamples = 'some'");
    assert!(text.contains("\"all\"") && text.contains("some"), "{text}");
    assert!(fault("selection-step-size = true").contains("\"auto\""));
    assert!(Config::from_file(Path::new("no/such.toml"), &Config::default()).unwrap_err().is_request());
}

#[test]
fn a_key_that_is_none_is_told_with_the_one_that_was_meant() {
    for (text, told) in [
        ("gama = 1", "no setting \"gama\"; did you mean \"gamma\"?"),
        ("lerning-rate = 1", "no setting \"lerning-rate\"; did you mean \"learning-rate\"?"),
        ("learning_rate = 1", "did you mean \"learning-rate\"?"),
        ("attack-radii = [0.1]", "no setting \"attack-radii\" here; write \"radii\" under [attack]"),
        ("radii = [0.1]", "no setting \"radii\" here; write \"radii\" under [attack]"),
        ("[attack]\nattack-radii = [0.1]", "no setting \"attack-radii\"; here it is \"radii\""),
        ("[attack]\ngamma = 1", "no setting \"gamma\" here; write it above all tables"),
        ("[probe]\nepoch = 1", "no setting \"epoch\"; did you mean \"epochs\"?"),
        ("flowers = 1", "no setting \"flowers\"; `smoothenc train --help` and docs/settings.md list all"),
        (
            "[probe]\nflowers = 1",
            "no setting \"flowers\"; there are epochs, least-steps, batch, learning-rate",
        ),
        ("gamma = 'fifty'", "invalid type: string \"fifty\", expected a number"),
        ("latent = 'many'", "expected a whole number from 0"),
        ("checked = 1", "expected true or false"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.ends_with(told), "{error}");
    }
}

#[test]
fn numbers_that_cannot_be_are_refused_by_name() {
    assert_eq!(refused(|c| c.variance = -1.0), "`variance` must be a positive number, got -1");
    for bad in [0.0, -0.5, f32::NAN, f32::INFINITY] {
        assert!(refused(|c| c.variance = bad).starts_with("`variance`"));
        assert!(refused(|c| c.eps = bad).starts_with("`eps`"));
        assert!(refused(|c| c.learning_rate = bad).starts_with("`learning-rate`"));
        assert!(refused(|c| c.selection_step_size = Some(bad)).starts_with("`selection-step-size`"));
        assert!(refused(|c| c.probe.learning_rate = bad).starts_with("`probe.learning-rate`"));
        assert!(refused(|c| c.attack.radii = vec![bad]).starts_with("`attack.radii`"));
    }
    for bad in [-0.5, f32::NAN, f32::INFINITY] {
        assert!(refused(|c| c.gamma = bad).starts_with("`gamma`"));
        assert!(refused(|c| c.beta = bad).starts_with("`beta`"));
        assert!(refused(|c| c.final_learning_rate = bad).starts_with("`final-learning-rate`"));
    }
    assert!(refused(|c| c.final_learning_rate = 1.5).starts_with("`final-learning-rate`"));
    assert!(refused(|c| c.eps = 1.01).contains("at most 1"));
    assert!(refused(|c| c.latent = 0).starts_with("`latent`"));
    assert!(refused(|c| c.latent = usize::MAX).starts_with("`latent`"));
    assert!(refused(|c| c.hidden = vec![]).starts_with("`hidden`"));
    assert!(refused(|c| c.hidden = vec![200, 0]).starts_with("`hidden`"));
    assert!(refused(|c| c.selection_steps = 0).starts_with("`selection-steps`"));
    assert!(refused(|c| c.batch = 0).starts_with("`batch`"));
    assert!(refused(|c| c.iterations = 0).starts_with("`iterations`"));
    assert!(refused(|c| c.iterations = (1 << 32) / 128).starts_with("`iterations`"));
    assert!(refused(|c| c.seed = 1 << 63).starts_with("`seed`"));
    assert!(refused(|c| c.log_every = 0).starts_with("`log-every`"));
    assert!(refused(|c| c.checkpoint_every = 0).starts_with("`checkpoint-every`"));
    assert!(refused(|c| c.probe.epochs = 0).starts_with("`probe.epochs`"));
    assert!(refused(|c| c.probe.least_steps = 0).starts_with("`probe.least-steps`"));
    assert!(refused(|c| c.probe.batch = 0).starts_with("`probe.batch`"));
    assert!(refused(|c| c.attack.steps = 0).starts_with("`attack.steps`"));
    assert!(refused(|c| c.attack.restarts = 0).starts_with("`attack.restarts`"));
    assert!(refused(|c| c.attack.examples = Some(0)).starts_with("`attack.examples`"));
    assert!(refused(|c| c.attack.radii = vec![]).starts_with("`attack.radii`"));
    assert!(refused(|c| c.attack.radii = vec![0.1, 0.1]).contains("twice"));
    assert!(refused(|c| c.attack.radii = vec![0.2, 0.1]).contains("ascend"));
    assert!(refused(|c| c.attack.radii = vec![1.5]).contains("at most 1"));
}

#[test]
fn choices_this_version_has_not_got_are_refused() {
    assert!(refused(|c| c.dataset = "celeba".into()).contains("celeba does not come with the program"));
    assert!(refused(|c| c.crop = 63).contains("`crop` must be at least 64, got 63"));
    assert!(refused(|c| c.crop = 179).contains("got 179"));
    assert!(refused(|c| c.dataset = "kmnist".into()).contains("`data-dir`"));
    for bad in ["tpu", "gpu:", "gpu:x", "gpu:-1", "CPU", ""] {
        assert!(refused(|c| c.device = bad.into()).starts_with("`device`"), "{bad}");
    }
}

#[test]
fn what_is_odd_but_possible_is_accepted() {
    let mut config = Config { gamma: 0.0, beta: 0.0, eps: 1.0, ..Config::default() };
    config.validate().unwrap();
    config.selection_norm = Norm::L2;
    config.eps = 3.0;
    config.attack.norm = Norm::L2;
    config.attack.radii = vec![1.5, 4.0];
    config.attack.examples = None;
    config.selection = Selection::Random;
    config.selection_steps = 0;
    config.iterations = u64::from(u32::MAX) / 128;
    config.validate().unwrap();
}

#[test]
fn the_hash_is_over_what_fixes_the_numbers() {
    let hash = |change: &dyn Fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        config.hash().unwrap()
    };
    let base = hash(&|_| {});
    assert_eq!(base.len(), 16);
    let same: [&dyn Fn(&mut Config); 9] = [
        &|c| c.iterations = 5,
        &|c| c.device = "cpu".into(),
        &|c| c.checkpoint_every = 5,
        &|c| c.log_every = 5,
        &|c| c.data_dir = Some("elsewhere".into()),
        &|c| c.checked = true,
        &|c| c.tensorboard = true,
        &|c| c.attack.steps = 5,
        &|c| c.probe.epochs = 5,
    ];
    for change in same {
        assert_eq!(hash(change), base);
    }
    let other: [&dyn Fn(&mut Config); 9] = [
        &|c| c.gamma_warmup = 5,
        &|c| c.seed = 5,
        &|c| c.gamma = 99.99999,
        &|c| c.latent = 5,
        &|c| c.hidden = vec![200; 3],
        &|c| c.objective = Objective::Vae,
        &|c| c.holdout = 5,
        &|c| c.selection_step_size = Some(0.025),
        &|c| c.final_learning_rate = 1.0,
    ];
    for change in other {
        assert_ne!(hash(change), base);
    }
}

#[test]
fn convolutions_suit_the_images() {
    let small = |config: &Config, image| {
        config.convolutions(image).map(|all| all.iter().map(|c| c.small).collect::<Vec<_>>())
    };
    let auto = Preset::Quick.config(Arch::Conv, "mnist");
    assert_eq!(small(&auto, [1, 28, 28]).unwrap(), [[32, 14, 14], [64, 7, 7]]);
    assert_eq!(small(&auto, [3, 64, 64]).unwrap(), [[32, 32, 32], [64, 16, 16], [128, 8, 8]]);
    assert_eq!(small(&auto, [1, 9, 20]).unwrap(), [[32, 4, 10]]);
    let paper = Preset::Paper.config(Arch::Conv, "mnist");
    assert_eq!(small(&paper, [1, 28, 28]).unwrap().last(), Some(&[200, 1, 1]));
    let five = Config { conv_channels: Some(vec![8; 5]), ..auto.clone() };
    let text = small(&five, [1, 28, 28]).unwrap_err().in_full();
    assert!(
        text.contains("`conv-channels`") && text.contains("28x28") && text.contains("at most 4"),
        "{text}"
    );
    let text = small(&auto, [1, 1, 28]).unwrap_err().in_full();
    assert!(text.contains("`conv-channels`") && text.contains("`arch` mlp"), "{text}");
}

#[test]
fn a_selection_step_follows_the_radius() {
    assert_eq!(Config { eps: 0.2, selection_steps: 5, ..Config::default() }.step_size(), 0.1);
}

#[test]
fn names_are_the_same_everywhere() {
    use clap::ValueEnum;
    fn check<T: ValueEnum + serde::Serialize + std::fmt::Display>() {
        for value in T::value_variants() {
            let flag = value.to_possible_value().unwrap().get_name().to_string();
            assert_eq!(value.to_string(), flag);
            assert_eq!(serde_json::to_value(value).unwrap(), flag);
        }
    }
    check::<Objective>();
    check::<Arch>();
    check::<Selection>();
    check::<Metric>();
    check::<Norm>();
    check::<Init>();
    check::<DecoderOutput>();
    check::<Precision>();
    check::<Preset>();
}

#[test]
fn celeba_has_a_shorter_preset() {
    let [mlp, conv] = [Arch::Mlp, Arch::Conv].map(|arch| Preset::Quick.config(arch, "celeba"));
    assert_eq!((mlp.iterations, mlp.attack.steps, mlp.attack.examples), (4000, 40, Some(500)));
    assert_eq!((conv.iterations, conv.batch, conv.conv_channels), (3000, 64, Some(vec![16, 32, 64])));
    assert_eq!((conv.variance, conv.gamma, conv.gamma_warmup), (0.1, 100.0, 1000));
    let paper = Preset::Paper.config(Arch::Conv, "celeba");
    assert_eq!((paper.variance, paper.gamma, paper.gamma_warmup), (0.25, 10.0, 0));
    assert_eq!((paper.batch, paper.attack, paper.conv_channels), {
        let mnist = Preset::Paper.config(Arch::Conv, "mnist");
        (mnist.batch, mnist.attack, mnist.conv_channels)
    });
}

/// The names of runs and checkpoints hold on to what was made before settings were declared in one table.
#[test]
fn hashes_are_those_of_earlier_runs() {
    assert_eq!(Config::default().hash().unwrap(), "ee2eb84f41398946");
    assert_eq!(Preset::Quick.config(Arch::Conv, "color-mnist").hash().unwrap(), "cdd2e4d562d4a9ea");
}

#[test]
fn the_base_preset_has_every_setting_and_the_file_too() {
    let base: toml::Table = toml::from_str(include_str!("../../../presets/quick.toml")).unwrap();
    let written: toml::Table = toml::from_str(&Config::default().to_toml().unwrap()).unwrap();
    // A path may be given or not; all else has a default.
    for setting in super::declared().filter(|setting| !setting.kind.is_path()) {
        assert!(setting.value_in(&base).is_some(), "presets/quick.toml has no {}", setting.path());
        assert!(setting.value_in(&written).is_some(), "config.toml has no {}", setting.path());
        assert!(setting.help().len() > 8, "{}", setting.path());
    }
}

/// The guide's table and the schema are made from the declaration: `SMOOTHENC_WRITE_DOCS=1` writes them.
#[test]
fn the_guide_and_the_schema_are_current() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let schema = serde_json::to_string_pretty(&super::json_schema()).unwrap() + "\n";
    let page = std::fs::read_to_string(docs.join("settings.md")).unwrap();
    let (mark, end) = ("<!-- settings: generated -->\n", "<!-- end of settings -->");
    let (before, rest) = page.split_once(mark).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let made = format!("{before}{mark}\n{}{end}{after}", super::markdown());
    if std::env::var_os("SMOOTHENC_WRITE_DOCS").is_some() {
        std::fs::write(docs.join("settings.md"), &made).unwrap();
        std::fs::write(docs.join("settings.schema.json"), &schema).unwrap();
    }
    assert!(page == made, "docs/settings.md is old: run this test with SMOOTHENC_WRITE_DOCS=1");
    let there = std::fs::read_to_string(docs.join("settings.schema.json")).unwrap();
    assert!(there == schema, "docs/settings.schema.json is old: run this test with SMOOTHENC_WRITE_DOCS=1");
}

#[test]
fn a_folder_of_data_is_relative_to_the_file_that_names_it() {
    let base = tempfile::tempdir().unwrap();
    let file = base.path().join("c.toml");
    let read = |text: &str| {
        std::fs::write(&file, text).unwrap();
        Config::from_file(&file, &Config::default()).unwrap().data_dir
    };
    assert_eq!(read("data-dir = \"d\""), Some(base.path().join("d")));
    assert_eq!(read("data-dir = \"/d\""), Some("/d".into()));
    assert_eq!(read(""), None);
}

/// A run's file from before a setting was added means what runs did then, whatever the default is now.
#[test]
fn a_file_of_an_earlier_version_means_what_it_did() {
    let before = Config::before();
    assert_eq!(before.attack.attacks, [AttackMethod::Pgd]);
    let table: toml::Table = toml::from_str(&before.to_toml().unwrap()).unwrap();
    for setting in declared().filter(|setting| setting.neutral.is_some()) {
        assert!(setting.is_neutral_in(&table), "{}", setting.path());
    }
    assert_eq!(before.attack.steps, Config::default().attack.steps);
}
