//! What stands around a training loop: progress, logs, curves, early stopping.

use crate::files::folder;
use std::time::Duration;
use wgrad::data::{DataLoader, InMemory, LoaderOptions};
use wgrad::train::*;
use wgrad::{Device, Result, Tensor, catch};

/// CRC-32C by its table, which is another way than the crate's.
fn crc32c(data: &[u8]) -> u32 {
    let table: Vec<u32> =
        (0..256u32).map(|i| (0..8).fold(i, |c, _| if c & 1 == 1 { c >> 1 ^ 0x82f6_3b78 } else { c >> 1 })).collect();
    !data.iter().fold(!0u32, |crc, &byte| table[(crc as u8 ^ byte) as usize] ^ crc >> 8)
}

fn masked(data: &[u8]) -> u32 {
    let crc = crc32c(data);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The data of all records, whose checksums must be right.
fn records(file: &[u8]) -> Vec<&[u8]> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let (mut records, mut at) = (Vec::new(), 0);
    while at < file.len() {
        let length = u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize;
        assert_eq!(word(at + 8), masked(&file[at..at + 8]));
        let data = &file[at + 12..at + 12 + length];
        assert_eq!(word(at + 12 + length), masked(data));
        records.push(data);
        at += length + 16;
    }
    records
}

/// The fields of a protobuf message: number, and the contents as bytes.
fn fields(mut message: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let varint = |message: &mut &[u8]| {
        let mut x = 0u64;
        for shift in (0..).step_by(7) {
            let byte = message[0];
            *message = &message[1..];
            x |= ((byte & 0x7f) as u64) << shift;
            if byte < 0x80 {
                break;
            }
        }
        x
    };
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let length = match key & 7 {
            0 => {
                found.push(((key >> 3) as u8, varint(&mut message).to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            2 => varint(&mut message) as usize,
            5 => 4,
            wire => panic!("wire type {wire}"),
        };
        found.push(((key >> 3) as u8, message[..length].to_vec()));
        message = &message[length..];
    }
    found
}

#[test]
fn event_files_are_what_tensorboard_reads() -> Result<()> {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    let folder = folder("events");
    let mut log = Log::new().tensorboard(folder.join("run"))?;
    let written =
        [("loss/training", 0, 0.5), ("loss/training", 300, f64::NAN), ("a".repeat(200).leak(), 1 << 40, -2.0)];
    for (name, step, x) in written {
        log.scalar(name, step, x)?;
    }
    let file = std::fs::read_dir(folder.join("run")).unwrap().next().unwrap().unwrap();
    assert!(file.file_name().to_str().unwrap().starts_with("events.out.tfevents."));
    let file = std::fs::read(file.path()).unwrap();
    let records = records(&file);
    let first = fields(records[0]);
    assert_eq!((first[0].0, first[1].clone()), (1, (3, b"brain.Event:2".to_vec())));
    assert_eq!(records.len(), 1 + written.len());
    for (record, (name, step, x)) in records[1..].iter().zip(written) {
        let event = fields(record);
        assert_eq!(event.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 5]);
        let time = f64::from_le_bytes(event[0].1[..].try_into().unwrap());
        assert!(time > 1.7e9, "{time} is no time of today");
        assert_eq!(u64::from_le_bytes(event[1].1[..].try_into().unwrap()), step);
        let summary = fields(&event[2].1);
        let value = fields(&summary[0].1);
        assert_eq!((summary.len(), summary[0].0, &value[0]), (1, 1, &(1, name.as_bytes().to_vec())));
        let found = f32::from_le_bytes(value[1].1[..].try_into().unwrap());
        assert!(value[1].0 == 2 && (found == x as f32 || x.is_nan() && found.is_nan()));
    }
    // One byte that is wrong is seen.
    let mut damaged = file.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert!(std::panic::catch_unwind(|| records_of(&damaged)).is_err());
    std::fs::remove_dir_all(&folder).unwrap();
    Ok(())
}

fn records_of(file: &[u8]) -> usize {
    records(file).len()
}

#[test]
fn logs_are_lines_that_curves_are_read_from() -> Result<()> {
    let folder = folder("log");
    let path = folder.join("log.jsonl");
    let mut log = Log::new().json_lines(&path)?;
    log.scalars(1, [("loss/training", 0.5), ("loss/test", f64::INFINITY)])?;
    log.scalar("loss/training", 2, 0.25)?;
    // Another run goes on, from step 1.
    let mut log = Log::new().json_lines(&path)?;
    log.scalars(2, [("loss/training".to_string(), 0.125)])?;
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 3);
    let first = text.lines().next().unwrap();
    assert!(
        first.starts_with("{\"step\":1,\"time\":1") && first.ends_with(",\"loss/training\":0.5,\"loss/test\":null}")
    );
    let curves = Curves::read(&path)?;
    assert_eq!(curves.points("loss/training"), [(1, 0.5), (2, 0.125)]);
    assert!(curves.points("loss/test")[0].1.is_nan());
    assert_eq!(curves.points("nothing"), []);

    // A line that a kill cut short is no error, one in the middle is.
    std::fs::write(&path, format!("{text}{{\"loss/tr")).unwrap();
    assert_eq!(Curves::read(&path)?.points("loss/training"), [(1, 0.5), (2, 0.125)]);
    std::fs::write(&path, format!("{{\"loss\n{text}")).unwrap();
    let error = Curves::read(&path).unwrap_err().to_string();
    assert!(error.contains("log.jsonl:1: "), "{error}");
    std::fs::write(&path, "{}\n").unwrap();
    assert!(Curves::read(&path).unwrap_err().to_string().ends_with("log.jsonl:1: there is no step"));
    let misuse = catch(|| Log::new().scalar("step", 1, 2.0)).unwrap_err().to_string();
    assert!(misuse.starts_with("Log: a number cannot be called step"), "{misuse}");
    assert!(Log::new().json_lines(folder.join("no/such/folder")).is_err());
    std::fs::remove_dir_all(&folder).unwrap();
    Ok(())
}

#[cfg(feature = "plots")]
#[test]
fn curves_are_drawn_chart_by_chart() -> Result<()> {
    let folder = folder("curves");
    let path = folder.join("curves.svg");
    let mut curves = Curves::new();
    assert!(curves.save(&path).unwrap_err().to_string().ends_with("there is no curve to draw"));
    for step in 0..40 {
        curves.scalar("loss/training", step, 1.0 / (step + 1) as f64);
        curves.scalar("loss/test", step, if step == 7 { f64::NAN } else { 2.0 });
    }
    curves.scalar("accuracy", 3, 0.9);
    curves.save(&path)?;
    let svg = std::fs::read_to_string(&path).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    for text in ["accuracy", "loss", "training", "test", "step"] {
        assert!(svg.lines().any(|line| line.trim() == text), "{text} is not written");
    }
    // Two curves of 40 points, and one of a single point, which is a circle.
    assert_eq!((svg.matches("<circle").count(), svg.contains("NaN")), (1, false));
    std::fs::remove_dir_all(&folder).unwrap();
    Ok(())
}

#[test]
fn progress_counts_what_has_been_done() -> Result<()> {
    let set = InMemory((0..10).collect::<Vec<i32>>());
    let loader = DataLoader::new(set, &Device::cpu(), LoaderOptions { batch_size: 4, ..Default::default() })?;
    let progress = Progress::new();
    let mut seen = Vec::new();
    let batches = progress.over(&loader);
    assert_eq!(batches.size_hint(), (3, Some(3)));
    for batch in batches {
        seen.push((progress.position(), progress.line(), batch?.size(0)));
        progress.show("loss", 0.25);
    }
    assert_eq!(progress.position(), 3);
    let positions: Vec<_> = seen.iter().map(|(at, _, n)| (*at, *n)).collect();
    assert_eq!(positions, [(0, 4), (1, 4), (2, 2)]);
    assert!(seen[0].1.starts_with("0 of 3, ") && seen[2].1.ends_with("left, loss 0.2500"), "{seen:?}");
    // A loop that ends early has done what it finished; the next one begins anew.
    for x in progress.over(0..5) {
        if x == 2 {
            break;
        }
    }
    assert_eq!((progress.position(), progress.line().starts_with("2 of 5")), (2, true));

    let whole = Progress::steps(20).at(10).every(Duration::ZERO);
    for _ in 0..2 {
        whole.over(0..5).for_each(drop);
    }
    assert!(whole.line().starts_with("20 of 20, ") && !whole.line().contains("left"), "{}", whole.line());
    Ok(())
}

#[test]
fn stopping_waits_as_long_as_it_was_told() -> Result<()> {
    let stops = |mut stopping: EarlyStopping, metrics: &[f64]| metrics.iter().position(|&x| stopping.observe(x));
    let patience = |patience| EarlyStopping { patience, ..Default::default() };
    assert_eq!(stops(patience(1), &[3.0, 2.0, 2.0]), Some(2));
    assert_eq!(stops(patience(2), &[3.0, 3.0, 2.0, 2.5, 1.0, f64::NAN, f64::NAN]), Some(6));
    assert_eq!(stops(patience(2), &[f64::NAN, f64::NAN]), Some(1));
    let picky = EarlyStopping { min_delta: 0.5, maximize: true, patience: 2, ..Default::default() };
    assert_eq!(stops(picky.clone(), &[0.0, 0.6, 1.0, 1.05]), Some(3));
    assert_eq!(stops(picky.clone(), &[0.0, 0.6, 1.0, 1.2, 1.3]), None);

    let mut first = picky.clone();
    assert!(!first.observe(0.0) && !first.observe(0.3));
    let mut second = picky;
    second.load_state_dict(&first.state_dict())?;
    assert_eq!((second.best, second.wait_count), (Some(0.0), 1));
    assert!(second.observe(0.3));
    assert!(second.load_state_dict(&Default::default()).is_err());
    Ok(())
}

#[test]
fn a_metric_of_the_users_own() -> Result<()> {
    /// How far the worst prediction is off.
    #[derive(Default)]
    struct MaxError(State);
    impl Metric for MaxError {
        type Value = f64;
        fn accumulate(&mut self, preds: &Tensor, target: &Tensor) {
            let worst = (preds - target).abs().max().reshape(1);
            let before = self.0.tensors.pop();
            self.0.tensors.push(before.map_or(worst.clone(), |before| before.maximum(&worst)));
        }
        fn state(&self) -> &State {
            &self.0
        }
        fn state_mut(&mut self) -> &mut State {
            &mut self.0
        }
        fn value(&self, parts: &[Vec<f64>]) -> Result<f64> {
            Ok(parts[0][0])
        }
    }
    let dev = Device::cpu();
    let mut metrics = Metrics::new().with("worst", MaxError::default()).with("mae", MeanAbsoluteError::default());
    for x in [[1.0, 4.0], [2.0, 2.0]] {
        metrics.update(&Tensor::new(x, &dev), &Tensor::new([2.0, 2.0], &dev));
    }
    let scores = metrics.compute()?;
    assert_eq!((scores["worst"], scores["mae"]), (2.0, 0.75));
    Ok(())
}
