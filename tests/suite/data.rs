//! Sets, samplers, loaders and readers of data.

use crate::common::on_every_device;
use crate::files::folder;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wgrad::data::*;
use wgrad::{Device, Error, Result, Tensor, catch, tree};

/// Samples `i` and `i²`, of which some cannot be read; it counts how many were asked for.
#[derive(Default)]
struct Squares {
    n: usize,
    bad: Vec<usize>,
    asked: Arc<AtomicUsize>,
}

impl Dataset for Squares {
    type Item = (i32, [f32; 2]);

    fn len(&self) -> usize {
        self.n
    }

    fn get(&self, i: usize) -> Result<Self::Item> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.bad.contains(&i) {
            true => Err(Error::other(format!("sample {i} is damaged"))),
            false => Ok((i as i32, [i as f32, (i * i) as f32])),
        }
    }
}

fn squares(n: usize) -> Squares {
    Squares { n, ..Default::default() }
}

fn numbers(batch: (Tensor, Tensor)) -> Vec<i32> {
    let (i, x) = (batch.0.to_vec::<i32>().unwrap(), batch.1.to_vec::<f32>().unwrap());
    assert!(i.iter().zip(x.chunks(2)).all(|(&i, x)| x == [i as f32, (i * i) as f32]));
    i
}

fn epoch(loader: &DataLoader<Squares>) -> Vec<Vec<i32>> {
    loader.iter().map(|batch| numbers(batch.unwrap())).collect()
}

fn shuffled(batch_size: usize, workers: usize) -> LoaderOptions {
    LoaderOptions { batch_size, workers, sampler: Box::new(Shuffle { seed: 3 }), ..Default::default() }
}

#[test]
fn an_epoch_shows_every_sample_once_whatever_the_threads() {
    on_every_device(|dev| {
        let plain = DataLoader::new(squares(10), dev, LoaderOptions { batch_size: 4, ..Default::default() })?;
        assert_eq!((plain.len(), epoch(&plain)), (3, vec![vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]));
        let drop_last = LoaderOptions { batch_size: 4, drop_last: true, ..Default::default() };
        assert_eq!(epoch(&DataLoader::new(squares(10), dev, drop_last)?).len(), 2);

        let alone = DataLoader::new(squares(23), dev, shuffled(5, 0))?;
        let epochs = [epoch(&alone), epoch(&alone)];
        assert_ne!(epochs[0], epochs[1]);
        for epoch in &epochs {
            assert_eq!(epoch.concat().into_iter().collect::<BTreeSet<_>>(), (0..23).collect());
        }
        for workers in [1, 2, 7] {
            let loader = DataLoader::new(squares(23), dev, shuffled(5, workers))?;
            assert_eq!([epoch(&loader), epoch(&loader)], epochs, "{workers} threads");
        }
        Ok(())
    });
}

#[test]
fn a_loader_goes_on_exactly_where_it_was() -> Result<()> {
    let dev = Device::cpu();
    for workers in [0, 2] {
        let new = || DataLoader::new(squares(23), &dev, shuffled(5, workers));
        let whole = new()?;
        let all: Vec<_> = [epoch(&whole), epoch(&whole)].concat();
        for stop in 0..10 {
            let first = new()?;
            let mut shown = Vec::new();
            'stopped: for _ in 0..2 {
                for batch in &first {
                    shown.push(numbers(batch?));
                    if shown.len() > stop {
                        break 'stopped;
                    }
                }
            }
            let second = new()?;
            second.load_state(first.state());
            while shown.len() < all.len() {
                shown.extend(epoch(&second));
            }
            assert_eq!(shown, all, "after {stop} batches with {workers} threads");
        }
        // Without a state, what was left of an epoch is not shown.
        let loader = new()?;
        assert!(loader.iter().next().is_some());
        assert_eq!(loader.state(), LoaderState { epoch: 0, batch: 1 });
        assert_eq!(epoch(&loader), all[5..]);
        assert_eq!(loader.state(), LoaderState { epoch: 2, batch: 0 });
    }
    Ok(())
}

#[test]
fn threads_are_no_further_ahead_than_asked() -> Result<()> {
    let asked = Arc::new(AtomicUsize::new(0));
    let set = Squares { n: 1000, asked: asked.clone(), ..Default::default() };
    let options = LoaderOptions { batch_size: 10, workers: 2, prefetch: 3, ..Default::default() };
    let loader = DataLoader::new(set, &Device::cpu(), options)?;
    let mut batches = loader.iter();
    batches.next().unwrap()?;
    std::thread::sleep(std::time::Duration::from_millis(50));
    // One given, and for each thread three waiting and one in its hands.
    assert!(asked.load(Ordering::Relaxed) <= 10 * (1 + 2 * 4), "{asked:?}");
    Ok(())
}

#[test]
fn samples_that_cannot_be_read_are_errors_or_left_out_and_counted() -> Result<()> {
    let dev = Device::cpu();
    for workers in [0, 2] {
        let set = || Squares { n: 9, bad: vec![1, 3, 4, 5], ..Default::default() };
        let options = LoaderOptions { batch_size: 3, workers, ..Default::default() };
        let texts = |batch: Result<_>| batch.map(numbers).map_err(|error| error.to_string());
        let loader = DataLoader::new(set(), &dev, options)?;
        let given: Vec<_> = loader.iter().map(texts).collect();
        let damaged = |i| Err(format!("sample {i} is damaged"));
        assert_eq!(given, [damaged(1), damaged(3), Ok(vec![6, 7, 8])]);

        let options = LoaderOptions { batch_size: 3, workers, bad_sample: BadSample::Skip, ..Default::default() };
        let loader = DataLoader::new(set(), &dev, options)?;
        assert_eq!((epoch(&loader), loader.skipped()), (vec![vec![0, 2], vec![6, 7, 8]], 4));
    }
    Ok(())
}

#[test]
fn a_panic_in_a_thread_reaches_whoever_reads() -> Result<()> {
    let set = squares(4).map(|(i, _)| if i == 2 { panic!("a planted panic") } else { Ok(i) });
    let loader = DataLoader::new(set, &Device::cpu(), LoaderOptions { workers: 2, ..Default::default() })?;
    let mut batches = loader.iter();
    assert!(batches.next().unwrap().is_ok() && batches.next().unwrap().is_ok());
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| batches.next())).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"a planted panic"));
    Ok(())
}

#[test]
fn loaders_without_batches_are_refused() {
    let dev = Device::cpu();
    let refused = |n, options| DataLoader::new(squares(n), &dev, options).map(drop).unwrap_err().to_string();
    assert_eq!(refused(0, LoaderOptions::default()), "DataLoader: 0 samples make no batch of 1");
    let options = LoaderOptions { batch_size: 8, drop_last: true, ..Default::default() };
    assert_eq!(refused(7, options), "DataLoader: 7 samples make no batch of 8; drop_last leaves a smaller one out");
    let none = || LoaderOptions { batch_size: 0, ..Default::default() };
    assert!(catch(|| DataLoader::new(squares(1), &dev, none()).map(drop)).unwrap_err().is_misuse());
}

#[test]
fn weights_decide_how_often_samples_come() {
    let weights = vec![1.0, 0.0, 3.0, 4.0];
    let sampler = Weighted { weights: weights.clone(), samples: 8000, replacement: true, seed: 1 };
    let mut counts = [0.0; 4];
    sampler.indices(4, 0).into_iter().for_each(|i| counts[i] += 1.0);
    for (count, weight) in counts.iter().zip([1000.0f64, 0.0, 3000.0, 4000.0]) {
        assert!((count - weight).abs() <= 5.0 * f64::sqrt(weight), "{counts:?}");
    }
    let few = Weighted { weights, samples: 3, replacement: false, seed: 1 };
    let mut firsts = [0; 4];
    for epoch in 0..800 {
        let order = few.indices(4, epoch);
        assert_eq!(order.iter().collect::<BTreeSet<_>>(), BTreeSet::from([&0, &2, &3]));
        firsts[order[0]] += 1;
    }
    assert!((50..150).contains(&firsts[0]) && (250..350).contains(&firsts[2]), "{firsts:?}");
    let refused = |weights: &[f64], samples, replacement| {
        let sampler = Weighted { weights: weights.to_vec(), samples, replacement, seed: 0 };
        catch(|| sampler.indices(2, 0)).unwrap_err().to_string()
    };
    assert!(refused(&[1.0], 1, true).starts_with("Weighted: 1 weights for 2 samples"));
    assert!(refused(&[1.0, -1.0], 1, true).starts_with("Weighted: a weight is -1"));
    assert!(refused(&[0.0, 0.0], 1, true).starts_with("Weighted: 1 samples of 0"));
    assert!(refused(&[1.0, 0.0], 2, false).starts_with("Weighted: 2 samples of 1"));
}

#[test]
fn sets_are_split_joined_and_mapped() -> Result<()> {
    let parts = random_split(InMemory((0..11).collect::<Vec<i32>>()), &[Part::Share(0.5), Part::Share(0.5)], 7);
    assert_eq!((parts[0].len(), parts[1].len()), (6, 5));
    let all = Concat(parts);
    let seen: BTreeSet<i32> = (0..11).map(|i| all.get(i).unwrap()).collect();
    assert_eq!(seen, (0..11).collect());
    assert!(all.get(11).is_err());
    let text =
        |parts: &[Part]| catch(|| random_split(InMemory(vec![0; 4]), parts, 0)).map(drop).unwrap_err().to_string();
    assert!(text(&[Part::Samples(3)]).contains("[3] samples, and the set has 4"));
    let doubled = InMemory(vec![1.0, 2.0]).map(|x: f64| Ok(vec![x, 2.0 * x]));
    let batch = doubled.batch(&[1, 0], &Device::cpu())?;
    assert_eq!((batch.shape(), batch.to_vec::<f64>()?), (&[2, 2][..], vec![2.0, 4.0, 1.0, 2.0]));
    assert!(catch(|| Subset::new(InMemory(vec![1]), vec![1])).is_err());
    Ok(())
}

struct Pair {
    x: Tensor,
    y: Tensor,
}
tree!(Pair { x, y });

#[test]
fn tensors_on_a_device_are_a_set() {
    on_every_device(|dev| {
        let (x, y) = (Tensor::arange(0, 8, 1, dev).reshape([4, 2]), Tensor::arange(0, 4, 1, dev));
        let set = TensorDataset::new(Pair { x, y });
        let batch = set.batch(&[3, 1], dev)?;
        assert_eq!((batch.x.to_vec::<i32>()?, batch.y.to_vec::<i32>()?), (vec![6, 7, 2, 3], vec![3, 1]));
        let rows = vec![set.get(3)?, set.get(1)?];
        let same = Row::collate(rows, dev)?;
        assert_eq!((same.x.to_vec::<i32>()?, same.y.to_vec::<i32>()?), (vec![6, 7, 2, 3], vec![3, 1]));
        let (a, b) = (Tensor::zeros([2, 2], dev), Tensor::zeros([3], dev));
        let text = catch(|| TensorDataset::new((a, b))).map(drop).unwrap_err().to_string();
        assert!(text.contains("[[2, 2], [3]]"), "{text}");
        assert!(catch(|| TensorDataset::new(Tensor::zeros((), dev))).is_err());
        Ok(())
    });
}

#[test]
fn samples_that_differ_in_shape_make_no_batch() {
    let dev = Device::cpu();
    let text = Vec::collate(vec![vec![1.0], vec![1.0, 2.0]], &dev).unwrap_err().to_string();
    assert!(text.starts_with("collate:") && text.contains("[1] and [2]"), "{text}");
    let array = |shape: &[usize]| Array { elements: vec![0f32; shape.iter().product()], shape: shape.to_vec() };
    let text = Array::collate(vec![array(&[2, 3]), array(&[3, 2])], &dev).unwrap_err().to_string();
    assert!(text.contains("[2, 3] and [3, 2]"), "{text}");
    let tensors = vec![Tensor::zeros([2], &dev), Tensor::zeros([3], &dev)];
    assert!(Tensor::collate(tensors, &dev).unwrap_err().is_data());
    let (names, flags) = <(String, bool)>::collate(vec![("a".into(), true), ("b".into(), false)], &dev).unwrap();
    assert_eq!((names, flags.to_vec::<bool>().unwrap()), (vec!["a".to_string(), "b".to_string()], vec![true, false]));
}

#[test]
fn tables_are_read_by_column() -> Result<()> {
    let (dev, place) = (Device::cpu(), folder("tables"));
    let path = place.join("wine.csv");
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    write("kind, alcohol,ash\nred,12.5,1\n\"white, dry\",11,2\nred,1e1,3\n");
    let table = Table::read(&path, CsvOptions::default())?;
    let x = table.tensor(&["ash", "alcohol"], &dev)?;
    assert_eq!((x.shape(), x.to_vec::<f32>()?), (&[3, 2][..], vec![1.0, 12.5, 2.0, 11.0, 3.0, 10.0]));
    assert_eq!(table.text("kind")?, ["red", "white, dry", "red"]);
    assert_eq!(table.categories("kind")?, (vec![0, 1, 0], vec!["red".to_string(), "white, dry".to_string()]));
    let text = table.tensor(&["sugar"], &dev).unwrap_err().to_string();
    assert!(text.contains("wine.csv: there is no column sugar; there are kind, alcohol, ash"), "{text}");

    write("a;b\n1;2\n3\nx;5\n6;7\n");
    let options = |skip_bad| CsvOptions { delimiter: b';', skip_bad, ..Default::default() };
    let text = Table::read(&path, options(false)).unwrap_err().to_string();
    assert!(text.ends_with("wine.csv:3: 1 fields, not 2"), "{text}");
    let table = Table::read(&path, options(true))?;
    assert_eq!((table.len(), table.skipped()), (3, 1));
    let text = table.tensor(&["a"], &dev).unwrap_err().to_string();
    assert!(text.ends_with("wine.csv:4: column a: \"x\" is no number"), "{text}");
    let table = table.skip_bad(&["a", "b"])?;
    assert_eq!((table.tensor(&["a"], &dev)?.to_vec::<f32>()?, table.skipped()), (vec![1.0, 6.0], 2));

    write("1,2\n3,4\n");
    let bare = Table::read(&path, CsvOptions { has_headers: false, ..Default::default() })?;
    assert_eq!((bare.columns(), bare.len()), (&["0".to_string(), "1".to_string()][..], 2));
    let text = Table::read(place.join("none.csv"), CsvOptions::default()).unwrap_err().to_string();
    assert!(text.contains("none.csv"), "{text}");
    std::fs::remove_dir_all(place).unwrap();
    Ok(())
}

#[test]
fn idx_files_are_read_packed_or_not() -> Result<()> {
    use std::io::Write;
    let place = folder("idx");
    let path = place.join("images-idx3-ubyte");
    let bytes = [&[0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3][..], &[0, 1, 2, 253, 254, 255]].concat();
    std::fs::write(&path, &bytes).unwrap();
    let (data, shape) = read_idx(&path)?;
    assert_eq!((data.to_f64(), shape), (vec![0.0, 1.0, 2.0, 253.0, 254.0, 255.0], vec![2, 3]));
    let packed = place.join("images-idx3-ubyte.gz");
    let mut encoder = flate2::write::GzEncoder::new(std::fs::File::create(&packed).unwrap(), Default::default());
    encoder.write_all(&bytes).unwrap();
    encoder.finish().unwrap();
    assert_eq!(read_idx(&packed)?.1, [2, 3]);
    for n in 0..bytes.len() {
        std::fs::write(&path, &bytes[..n]).unwrap();
        let text = read_idx(&path).unwrap_err().to_string();
        assert!(text.contains("images-idx3-ubyte"), "{text}");
    }
    std::fs::write(&path, [0, 0, 8, 1, 0, 0, 0, 3, 1, 2]).unwrap();
    assert!(read_idx(&path).unwrap_err().to_string().ends_with("2 elements for the shape [3]"));
    std::fs::remove_dir_all(place).unwrap();
    Ok(())
}

#[cfg(feature = "image")]
#[test]
fn folders_of_images_are_a_set() -> Result<()> {
    let place = folder("images");
    for (class, grey) in [("cat", 0u8), ("dog", 255)] {
        std::fs::create_dir(place.join(class)).unwrap();
        let image = image::RgbImage::from_fn(4, 2, |x, _| image::Rgb([grey, x as u8 * 51, 0]));
        image.save(place.join(class).join("a.png")).unwrap();
    }
    std::fs::write(place.join("cat").join("notes.txt"), "no image").unwrap();
    let set = ImageFolder::read(&place, ImageOptions::default())?;
    assert_eq!((set.classes(), set.len()), (&["cat".to_string(), "dog".to_string()][..], 2));
    let (x, y) = set.batch(&[1, 0], &Device::cpu())?;
    assert_eq!((x.shape(), y.to_vec::<i32>()?), (&[2, 3, 2, 4][..], vec![1, 0]));
    assert_eq!(x.select(0, 0).select(1, 0).to_vec::<f32>()?[..6], [1.0, 1.0, 1.0, 1.0, 0.0, 0.2]);
    let small = ImageFolder::read(&place, ImageOptions { size: Some([1, 2]), grey: true })?;
    assert_eq!(small.get(0)?.0.shape, [1, 1, 2]);
    std::fs::write(place.join("dog").join("a.png"), "damaged").unwrap();
    assert!(set.get(1).unwrap_err().to_string().contains("a.png"));
    assert!(ImageFolder::read(place.join("cat"), ImageOptions::default()).is_err());
    std::fs::remove_dir_all(place).unwrap();
    Ok(())
}

#[test]
fn text_becomes_windows_of_tokens() -> Result<()> {
    let text = "to be or not to be";
    let characters = Characters::of(text);
    let tokens = characters.encode(text)?;
    assert_eq!(characters.decode(&tokens)?, text);
    assert!(characters.encode("to bee!").unwrap_err().to_string().contains("'!' at character 6"));
    assert!(characters.decode(&[99]).is_err() && characters.decode(&[-1]).is_err());
    let windows = Windows::new(tokens.clone(), 5, 5);
    assert_eq!(windows.len(), 3);
    let (x, y) = windows.get(2)?;
    assert_eq!((x, y), (tokens[10..15].to_vec(), tokens[11..16].to_vec()));
    assert!(windows.get(3).is_err());
    assert_eq!(Windows::new(vec![1, 2], 5, 1).len(), 0);
    Ok(())
}

#[cfg(feature = "tokenizers")]
#[test]
fn tokenizers_are_read_from_their_description() -> Result<()> {
    let place = folder("tokenizer");
    let path = place.join("tokenizer.json");
    let description = r#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,
        "pre_tokenizer":{"type":"Whitespace"},"post_processor":null,"decoder":null,
        "model":{"type":"WordLevel","vocab":{"[UNK]":0,"to":1,"be":2},"unk_token":"[UNK]"}}"#;
    std::fs::write(&path, description).unwrap();
    let tokenizer = Tokenizer::read(&path)?;
    assert_eq!((tokenizer.encode("to be or be")?, tokenizer.decode(&[1, 2])?), (vec![1, 2, 0, 2], "to be".to_string()));
    let batch = tokenizer.encode_batch(&["be", "", "to be"], &Device::cpu())?;
    assert_eq!((batch.input_ids.shape(), batch.input_ids.to_vec::<i32>()?), (&[3, 2][..], vec![2, 0, 0, 0, 1, 2]));
    assert_eq!(batch.attention_mask.to_vec::<bool>()?, [true, false, false, false, true, true]);
    assert_eq!(tokenizer.encode_batch(&[] as &[&str], &Device::cpu())?.input_ids.shape(), [0, 0]);

    // A file may ask for filling up to a length, as sentence models do: a text has its own tokens all the same.
    let filled = description
        .replace(
            r#""padding":null"#,
            r#""padding":{"strategy":{"Fixed":8},"direction":"Right","pad_to_multiple_of":null,
            "pad_id":3,"pad_type_id":0,"pad_token":"[PAD]"}"#,
        )
        .replace(r#""truncation":null"#, r#""truncation":{"max_length":3,"strategy":"LongestFirst","stride":0}"#);
    std::fs::write(&path, filled).unwrap();
    let tokenizer = Tokenizer::read(&path)?;
    assert_eq!(tokenizer.encode("to be")?, [1, 2]);
    assert_eq!(tokenizer.encode_batch(&["be", "to be"], &Device::cpu())?.input_ids.to_vec::<i32>()?, [2, 3, 1, 2]);
    assert_eq!(tokenizer.encode("to be to be to be")?, [1, 2, 1]);
    assert_eq!(tokenizer.with_max_length(5).encode("to be to be to be")?, [1, 2, 1, 2, 1]);

    std::fs::write(&path, "{").unwrap();
    assert!(Tokenizer::read(&path).map(drop).unwrap_err().to_string().contains("tokenizer.json"));
    std::fs::remove_dir_all(place).unwrap();
    Ok(())
}
