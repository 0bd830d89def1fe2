use smoothenc::{backend::*, data::Dataset, experiment, run::config::Config, run::dir::*};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let config = Config::from_file(args[1].as_ref(), &Config::default()).unwrap();
    let data = Dataset::load(&config.dataset, None).unwrap().hold_out(config.holdout).unwrap();
    let run = RunDir::prepare(&Destination::Out { path: args[2].clone().into(), overwrite: true }, &config)
        .unwrap();
    let result = experiment::train(&config, &run, &data, Device::Cpu(cpu::Cpu)).unwrap();
    println!("{}", result.to_json().unwrap());
}
