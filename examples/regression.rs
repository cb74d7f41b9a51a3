//! From a CSV file to a saved model: how heavy is a penguin, by its bill, flippers, species and sex?

#[path = "common/mod.rs"]
mod common;
use clap::Parser;
use common::{Common, Result};
use std::process::ExitCode;
use wgrad::data::{CsvOptions, DataLoader, Dataset, LoaderOptions, Part, Shuffle, Table, TensorDataset, random_split};
use wgrad::nn::{BatchNorm1d, Layer, Linear, Module, ReLU, Sequential};
use wgrad::train::{MeanSquaredError, Metrics, R2Score};
use wgrad::{Device, Tensor, autograd::no_grad, io, optim::AdamW};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/penguins.csv");
const WEIGHTS: &str = "target/regression.safetensors";

fn main() -> ExitCode {
    common::run("regression", || example(&Common::parse()))
}

/// The first layer learns mean and spread of every column, which are saved with the weights.
fn network(dev: &Device) -> Sequential {
    let hidden = Sequential::new().then(BatchNorm1d::new(9, dev)).then(Linear::new(9, 32, dev)).then(ReLU::new());
    hidden.then(Linear::new(32, 1, dev))
}

fn example(args: &Common) -> Result<ExitCode> {
    let dev = args.open()?;
    let numbers = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm"];
    let table = Table::read(TABLE, CsvOptions::default())?.skip_bad(&numbers)?;
    println!("{TABLE}: {} penguins, {} left out for want of measurements", table.len(), table.skipped());
    // A name becomes a column for each of its values; that the sex is not known is a value too.
    let one_hot = |column| Ok::<_, wgrad::Error>(Tensor::new(table.categories(column)?.0, &dev).one_hot(3));
    let x = Tensor::cat(&[table.tensor(&numbers, &dev)?, one_hot("species")?, one_hot("sex")?], 1);
    let kilograms = table.tensor(&["body_mass_g"], &dev)? / 1000.0;
    let parts = random_split(TensorDataset::new((x, kilograms)), &[Part::Share(0.8), Part::Share(0.2)], 0);
    let sampler = Box::new(Shuffle { seed: args.seed });
    let options = LoaderOptions { batch_size: 32, sampler, ..Default::default() };
    let training = DataLoader::new(parts[0].clone(), &dev, options)?;
    let net = network(&dev);
    let mut adamw = AdamW { lr: 1e-2, weight_decay: 1e-2, ..Default::default() }.over(&net.parameters());
    for batch in (0..60).flat_map(|_epoch| &training) {
        let (x, y) = batch?;
        adamw.zero_grad();
        net.forward(&x).mse_loss(&y, Default::default()).backward()?;
        adamw.step()?;
    }
    std::fs::create_dir_all("target")?;
    io::save_safetensors(WEIGHTS, &net.state_dict().into_iter().collect::<Vec<_>>())?;
    let loaded = network(&dev);
    loaded.load_state_dict(&io::load_safetensors(WEIGHTS, &dev)?)?;
    loaded.eval();
    let _unrecorded = no_grad();
    let (x, y) = parts[1].batch(&(0..parts[1].len()).collect::<Vec<_>>(), &dev)?;
    let mut metrics = Metrics::new().with("r2", R2Score::default()).with("rmse", MeanSquaredError::root());
    metrics.update(&loaded.forward(&x), &y);
    let scores = metrics.compute()?;
    println!("{} unseen penguins: R² {:.3}, off by {:.0} g", y.size(0), scores["r2"], 1e3 * scores["rmse"]);
    args.report(serde_json::json!({ "device": dev.name(), "test_r2": scores["r2"], "files": [WEIGHTS] }));
    Ok(ExitCode::SUCCESS)
}
