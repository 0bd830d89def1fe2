use std::fs;

use clap::CommandFactory;

use super::*;
use crate::runs::config::{Arch, AttackConfig, Config, Objective, Preset, declared};
use crate::runs::destination::Destination;

fn parse(line: &str) -> std::result::Result<Cli, clap::Error> {
    Cli::try_parse_from(format!("smoothenc {line}").split_whitespace())
}

#[track_caller]
fn resolve(line: &str) -> Result<Request> {
    match parse(&format!("train {line}")).unwrap().command {
        Command::Train(args) => args.resolve(),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(line: &str, part: &str) {
    match resolve(line) {
        Err(error) if error.is_request() => {
            let text = failure::explain(&error);
            assert!(text.contains(part), "{text:?} has not {part:?}")
        }
        other => panic!("{line} is not refused: {other:?}"),
    }
}

#[test]
fn the_definition_is_sound_and_teaches() {
    Cli::command().debug_assert();
    for (line, parts) in [
        ("--help", vec!["train mnist", "Exit codes", "divergence", "devices"]),
        (
            "train --help",
            vec!["Model:", "Training:", "Attack:", "Output:", "[default: 0.02;", "--resume", "Examples:"],
        ),
        ("divergence --help", vec!["logvar_a", "cov_a"]),
        ("attack --help", vec!["--attack-restarts", "Examples:"]),
    ] {
        let help = parse(line).unwrap_err().to_string();
        for part in parts {
            assert!(help.contains(part), "{line}: no {part:?} in\n{help}");
        }
    }
}

#[test]
fn every_command_may_say_more_or_less() {
    for (line, filter) in [
        ("runs", "error,smoothenc=warn"),
        ("runs -v", "error,smoothenc=info"),
        ("-v train mnist", "error,smoothenc=info"),
        ("train mnist -vvvv", "error,smoothenc=debug"),
        ("data check mnist --quiet", "error"),
    ] {
        assert_eq!(parse(line).unwrap().talk.log_filter(), filter, "{line}");
    }
    assert!(parse("runs -v -q").is_err());
}

/// Every setting has its flag with its help and default, in every group; `-h` has a dozen.
#[test]
fn the_help_is_made_of_the_declaration() {
    let long = parse("train --help").unwrap_err().to_string();
    let short = parse("train -h").unwrap_err().to_string();
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (long, short) = (words(&long), words(&short));
    for setting in declared().filter(|s| !["dataset", "attack.enabled"].contains(&s.path().as_str())) {
        let flag = format!("--{} ", setting.flag());
        assert!(long.contains(&flag), "{flag}");
        assert_eq!(short.contains(&flag), setting.common, "{flag}");
        assert!(long.contains(&words(&setting.help())), "{flag}: {}", setting.help());
    }
    for part in [
        "[default: 128; 64 with --arch conv; 128 for mnist with --arch conv]",
        "[default: 0.1; 0.3 for mnist with --arch conv]",
        "[default: 0; 1000 for mnist with --arch conv; 750 for color-mnist with --arch conv; \
         1000 for celeba with --arch conv]",
        "[default: 0.01,0.1,0.2,0.3; 0.01,0.05,0.1 for celeba]",
    ] {
        assert!(long.contains(part), "no {part:?} in\n{long}");
    }
}

#[test]
fn fractions_spaces_and_a_last_comma_are_read() {
    let radii = |line: &[&str]| {
        let words = ["smoothenc", "train", "mnist", "--attack-radii"].iter().chain(line);
        match Cli::try_parse_from(words).unwrap().command {
            Command::Train(args) => args.resolve().unwrap().config.attack.radii,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(radii(&["0.1, 0.2,"]), [0.1, 0.2]);
    assert_eq!(radii(&["8/255"]), [8.0 / 255.0]);
    let error = parse("train mnist --attack-radii wide").unwrap_err().to_string();
    assert!(error.contains("--attack-radii") && error.contains("8/255"), "{error}");
}

/// On `attack` the flags have short names, and a norm brings its radii.
#[test]
fn an_attack_is_set_in_short() {
    let apply =
        |line: &str, config: &AttackConfig| match parse(&format!("attack run {line}")).unwrap().command {
            Command::Attack(args) => args.of.attack.apply(config).unwrap(),
            other => panic!("{other:?}"),
        };
    let own = AttackConfig { radii: vec![0.05], ..Config::default().attack };
    let short = apply("--radii 0.2,0.1 --steps 3 --restarts 2 --examples 5 --seed 4", &own);
    assert_eq!(short.radii, [0.1, 0.2]);
    assert_eq!((short.steps, short.restarts, short.examples, short.seed), (3, 2, Some(5), 4));
    let l2 = apply("--norm l2", &own);
    assert_eq!(l2.radii, [0.5, 1.0, 1.5, 2.0, 3.0]);
    assert_eq!(apply("--attack-norm linf", &l2).radii, [0.01, 0.1, 0.2, 0.3]);
    assert_eq!(apply("--norm linf", &own).radii, [0.05], "it is the run's norm");
    assert_eq!(apply("--norm l2 --radii 7", &own).radii, [7.0]);
    assert_eq!(resolve("mnist --attack-norm l2").unwrap().config.attack.radii, l2.radii);
    assert!(parse("train mnist --radii 0.1").is_err());
}

#[test]
fn every_setting_has_its_flag() {
    let request = resolve(
        "mnist --objective beta-vae --arch conv --conv-channels 4,5 --latent 3 --hidden 5,6 --variance 0.5 \
         --gamma 2 --gamma-warmup 5 --beta 3 --eps 2.5 --selection random --selection-steps 4 \
         --selection-metric entropic --selection-norm l2 --selection-step-size 0.5 --iterations 7 --batch 9 \
         --learning-rate 0.01 --final-learning-rate 0.5 --weight-decay 0.5 --seed 11 --init he \
         --decoder-output linear --precision f16 --log-every 2 --checkpoint-every 3 --holdout 13 --device gpu:1 \
         --checked --attacks margin,pgd --attack-radii 2,0.5 --attack-steps 3 --attack-restarts 2 \
         --attack-examples all --attack-norm l2 --out o --json --data-dir d --crop 100 --skip-bad --resize 32 \
         --tensorboard --probe-epochs 3 --probe-least-steps 4 --probe-batch 5 --probe-learning-rate 0.5 \
         --attack-seed 9",
    )
    .unwrap();
    let text = request.config.to_toml().unwrap();
    let default = Config::default().to_toml().unwrap();
    // Whatever could differ does: no flag is forgotten. The data set's name is given.
    let tables = |text: &str| toml::from_str::<toml::Table>(text).unwrap();
    let (is, was) = (tables(&text), tables(&default));
    let other = ["dataset", "attack.enabled", "attack.certify"];
    for setting in declared().filter(|s| !other.contains(&s.path().as_str())) {
        assert_ne!(setting.value_in(&is), setting.value_in(&was), "{}", setting.path());
    }
    assert_eq!(request.config.attack.radii, [0.5, 2.0]);
    assert_eq!(request.config.attack.examples, None);
    assert!(request.config.data_dir.as_ref().unwrap().is_absolute());
    assert_eq!(request.destination, Destination::Out { path: "o".into(), overwrite: false });
    assert!(request.json);
    assert!(!resolve("mnist --no-attack").unwrap().config.attack.enabled);
    refused("mnist --no-attack --attack-steps 3", "--no-attack");
    // There are no certificates for halves.
    assert!(resolve("mnist --attack-certify").unwrap().config.attack.certify);
    refused("mnist --attack-certify --precision f16", "--attack-certify");
}

#[test]
fn flags_win_over_the_file_over_the_preset() {
    let base = tempfile::tempdir().unwrap();
    let file = base.path().join("settings.toml");
    fs::write(&file, "gamma = 3\nvariance = 0.5\ndataset = 'mnist'\n").unwrap();
    let config = resolve(&format!("--preset paper --config {} --gamma 4", file.display())).unwrap().config;
    assert_eq!((config.gamma, config.variance, config.iterations), (4.0, 0.5, 300_000));
    assert_eq!(resolve("mnist").unwrap().config, Config::default());
    assert_eq!(resolve("mnist --preset paper").unwrap().config, Preset::Paper.config(Arch::Mlp, "mnist"));
    assert_eq!(resolve("mnist").unwrap().destination, Destination::Numbered);
    let conv = |line: &str| resolve(&format!("mnist --arch conv {line}")).unwrap().config;
    assert_eq!(conv(""), Preset::Quick.config(Arch::Conv, "mnist"));
    assert_eq!(conv("--preset paper").conv_channels, Some(vec![200; 4]));
    assert_eq!(conv("--conv-channels 8,16 --hidden 30,20").conv_channels, Some(vec![8, 16]));
}

/// A file's networks decide which defaults stand behind it, unless a flag does.
#[test]
fn the_defaults_are_those_of_the_networks() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("conv.toml");
    fs::write(&file, "arch = 'conv'\ngamma = 3\n").unwrap();
    let read = |more: &str| resolve(&format!("mnist --config {} {more}", file.display())).unwrap().config;
    assert_eq!(read(""), Config { gamma: 3.0, ..Preset::Quick.config(Arch::Conv, "mnist") });
    assert_eq!(read("--arch mlp"), Config { gamma: 3.0, ..Config::default() });
}

#[test]
fn wrong_values_are_refused_by_flag() {
    refused("mnist --variance -1", "--variance must be a positive number, got -1");
    refused("mnist --gamma nan", "--gamma");
    refused("mnist --eps 1.5", "--eps");
    refused("mnist --selection-steps 0", "--selection-steps");
    refused("mnist --attack-radii 0.1,-0.1", "--attack-radii");
    refused("mnist --attack-radii 0.1,0.1", "twice");
    assert!(parse("train mnist --arch cnn").unwrap_err().to_string().contains("--arch"));
    refused("mnist --conv-channels 8,16", "--arch conv");
    refused("mnist --arch conv --conv-channels 8,0", "--conv-channels");
    assert!(parse("train mnist --conv-channels 8,-1").unwrap_err().to_string().contains("--conv-channels"));
    refused("kmnist", "--data-dir");
    refused("mnist --device tpu", "--device");
    refused("mnist --config no/such/file.toml", "no/such/file.toml");
    for line in [
        "train mnist --latent -3",
        "train mnist --objective elbo",
        "train mnist --overwrite",
        "fly",
        "train mnist --attack-examples some",
        "train mnist --batch 1.5",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn a_resumed_run_keeps_its_settings() {
    refused("", "train --resume RUN");
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("run");
    let made = resolve(&format!("mnist --objective vae --latent 8 --out {}", path.display())).unwrap();
    made.destination.prepare(&made.config, None).unwrap();
    let resume = format!("--resume {}", path.display());
    let request = resolve(&resume).unwrap();
    assert_eq!(request.config, made.config);
    assert_eq!(request.destination, Destination::Resume(path.clone()));
    let request = resolve(&format!(
        "mnist {resume} --iterations 30000 --device cpu --checked --checkpoint-every 7 --log-every 9 \
         --attack-steps 4 --json"
    ))
    .unwrap();
    let config = request.config;
    assert_eq!((config.objective, config.latent, config.iterations), (Objective::Vae, 8, 30_000));
    assert_eq!((config.checkpoint_every, config.log_every, config.attack.steps), (7, 9, 4));
    assert!(config.checked && config.attack.enabled && config.device == "cpu");
    assert_eq!(config.hash().unwrap(), made.config.hash().unwrap());
    for flag in [
        "--preset quick",
        "--config c",
        "--seed 1",
        "--holdout 1",
        "--objective se",
        "--arch mlp",
        "--latent 8",
        "--hidden 1",
        "--variance 1",
        "--gamma 1",
        "--gamma-warmup 1",
        "--beta 1",
        "--init he",
        "--decoder-output linear",
        "--eps 1",
        "--selection pgd",
        "--selection-steps 1",
        "--selection-step-size 1",
        "--selection-metric w2",
        "--selection-norm l2",
        "--batch 1",
        "--learning-rate 1",
        "--final-learning-rate 1",
        "--precision f32",
        "--out o",
    ] {
        refused(&format!("{resume} {flag}"), &format!("{} cannot be given", flag.split(' ').next().unwrap()));
    }
    refused(&format!("kmnist {resume}"), "was trained on mnist");
    refused(&format!("--resume {}", base.path().display()), "is not a run");
}

#[test]
fn the_other_commands_parse() {
    let Command::Probe(probe) =
        parse("probe run --task digit --labels-fraction 0.1 --seed 3").unwrap().command
    else {
        panic!()
    };
    assert!(probe.validate().is_ok());
    for bad in ["0", "-0.5", "1.5", "nan"] {
        let Command::Probe(probe) = parse(&format!("probe run --labels-fraction {bad}")).unwrap().command
        else {
            panic!()
        };
        assert!(probe.validate().unwrap_err().to_string().contains("--labels-fraction"), "{bad}");
    }
    let Command::Attack(attack) = parse("attack run --attack-examples 5 --task digit").unwrap().command
    else {
        panic!()
    };
    let config = attack.of.attack.apply(&Config::default().attack).unwrap();
    assert_eq!(config, AttackConfig { examples: Some(5), ..Config::default().attack });
    assert!(matches!(parse("devices --json").unwrap().command, Command::Devices(DevicesArgs { json: true })));
    assert!(matches!(parse("divergence").unwrap().command, Command::Divergence(_)));
}
