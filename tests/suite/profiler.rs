//! Profiles: what they see, that it adds up, that nothing else changes, and the files they write.

use crate::checking::{leaf, line};
use crate::common::{devices, gpu, on_every_device, own_devices};
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;
use wgrad::optim::Sgd;
use wgrad::profiler::{Event, EventKind, GroupBy, Profile, ProfileOptions, SortBy, profile, record_function};
use wgrad::testing::open_gpu_with;
use wgrad::{Device, GpuOptions, Result, Tensor};

/// A place for a file of one test.
fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("wgrad-{}-{name}", std::process::id()))
}

/// Parameters, and what a step of training with them comes to: its line, and all its numbers.
fn step(dev: &Device) -> Result<(u32, Vec<f32>)> {
    dev.manual_seed(3);
    let x = Tensor::randn([32, 16], dev);
    let w = Tensor::randn([16, 8], dev).requires_grad_(true)?;
    let mut sgd = Sgd::new([&w], 0.1);
    let (loss, at) = (x.matmul(&w).tanh().exp().sum(), line());
    loss.backward()?;
    sgd.step()?;
    let mut numbers = vec![loss.item()? as f32];
    numbers.extend(w.grad().unwrap().to_vec::<f32>()?);
    numbers.extend(w.to_vec::<f32>()?);
    Ok((at, numbers))
}

fn profiled(dev: &Device, options: ProfileOptions) -> Result<(Profile, u32, Vec<f32>)> {
    let running = profile(options);
    let (at, numbers) = step(dev)?;
    Ok((running.stop()?, at, numbers))
}

fn named<'a>(profile: &'a Profile, kind: EventKind, name: &str) -> Vec<&'a Event> {
    profile.events().iter().filter(|event| event.kind == kind && event.name == name).collect()
}

fn end(event: &Event) -> Duration {
    event.start + event.duration
}

#[test]
fn a_step_is_seen_from_the_operation_to_the_optimizer() {
    on_every_device(|dev| {
        let (profile, at, _) = profiled(dev, ProfileOptions::default())?;
        for (forward, backward) in
            [("mm", "MmBackward0"), ("tanh", "TanhBackward0"), ("exp", "ExpBackward0"), ("sum", "SumBackward0")]
        {
            let [recorded] = named(&profile, EventKind::Forward, forward)[..] else {
                panic!("{forward}: {:#?}", profile.events())
            };
            let [run] = named(&profile, EventKind::Backward, backward)[..] else { panic!("{backward}") };
            assert_eq!(recorded.node, run.node, "{forward} and {backward}");
            assert!(recorded.node.is_some() && end(recorded) <= run.start);
            for event in [recorded, run] {
                assert!(event.lines[0].file().ends_with("profiler.rs") && event.lines[0].line() == at, "{event:?}");
            }
        }
        let mm = named(&profile, EventKind::Forward, "mm")[0];
        assert_eq!(mm.shapes, [[32, 16], [16, 8]]);
        assert_eq!(mm.output, Some((vec![32, 8], wgrad::DType::F32)));
        assert_eq!(named(&profile, EventKind::Backward, "AccumulateGrad").len(), 1);
        let [walk] = named(&profile, EventKind::Backward, "backward")[..] else { panic!("one walk") };
        let inside = |event: &Event| walk.start <= event.start && end(event) <= end(walk);
        assert!(named(&profile, EventKind::Backward, "mm").iter().any(|event| inside(event)), "a rule is recorded");
        let [stepping] = named(&profile, EventKind::Optimizer, "Sgd.step")[..] else { panic!("one step") };
        assert!(profile.events().iter().any(|event| event.kind == EventKind::Optimizer && event.name == "mul"));
        assert!(end(walk) <= stepping.start);
        // Who knows errors at once has played before the step as well; reads find everything computed.
        let flushes = if dev.name() == "cpu" || dev.name().starts_with("twin") { 2 } else { 1 };
        assert_eq!(named(&profile, EventKind::Flush, "flush").len(), flushes);
        assert_eq!(named(&profile, EventKind::Transfer, "read").len(), 3);
        assert_eq!(
            named(&profile, EventKind::Transfer, "read").iter().map(|read| read.bytes_read).sum::<u64>(),
            4 + 2 * 512
        );
        Ok(())
    });
}

#[test]
fn results_are_the_same_bits_with_and_without_a_profile() {
    on_every_device(|dev| {
        let bits = |numbers: Vec<f32>| numbers.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let before = bits(step(dev)?.1);
        let options = ProfileOptions { profile_memory: true, profile_all_threads: true, ..Default::default() };
        assert_eq!(bits(profiled(dev, options)?.2), before);
        assert_eq!(bits(step(dev)?.1), before);
        Ok(())
    });
}

#[test]
fn kernels_have_times_lines_bytes_and_products() {
    for dev in own_devices() {
        let before = dev.stats().kernels;
        let (profile, at, _) = profiled(&dev, ProfileOptions::default()).unwrap();
        let kernels: Vec<&Event> = profile.events().iter().filter(|event| event.kind == EventKind::Kernel).collect();
        let on_gpu = |event: &&&Event| !event.row.starts_with("cpu");
        let is_cpu = dev.name() == "cpu";
        let (mine, others): (Vec<&Event>, Vec<&Event>) = kernels.iter().partition(|event| is_cpu != on_gpu(event));
        assert!(!mine.is_empty() && profile.untimed_devices().is_empty(), "{}", dev.name());
        // A twin shows both of what it compares.
        assert_eq!(!others.is_empty(), dev.name().starts_with("twin"), "{}", dev.name());
        if dev.stats().plan_misses > 0 && others.is_empty() {
            assert_eq!(mine.len() as u64, dev.stats().kernels - before);
        }
        assert!(mine.iter().map(|event| event.duration).sum::<Duration>() > Duration::ZERO);
        assert!(mine.iter().all(|event| event.bytes_written > 0), "{mine:#?}");
        let product = mine.iter().find(|event| event.name.contains("matmul")).unwrap();
        assert_eq!(product.flops, 2 * 32 * 16 * 8, "{product:?}");
        assert!(product.lines.iter().any(|line| line.line() == at), "{product:?}");
        if !is_cpu {
            assert!(product.bytes_read >= 4 * (32 * 16 + 16 * 8), "{product:?}");
        }
        // Kernels run in order, and none before it was submitted.
        for row in [&mine, &others] {
            assert!(row.windows(2).all(|pair| end(pair[0]) <= pair[1].start), "{row:#?}");
        }
        let first = profile.events().iter().find(|event| ["submit", "flush"].contains(&event.name.as_ref())).unwrap();
        assert!(mine[0].start >= first.start);
    }
}

#[test]
fn what_shares_a_kernel_shows_all_its_lines() {
    // Of its own: another test may play what is pending on the one they share.
    let Some(dev) = own_devices().into_iter().nth(1) else { return };
    let x = leaf(&[1.0; 64], &dev);
    let running = profile(ProfileOptions::default());
    let (a, first) = (x.exp(), line());
    let (b, second) = (a * 2.0, line());
    b.to_vec::<f32>().unwrap();
    let profile = running.stop().unwrap();
    let [kernel] = named(&profile, EventKind::Kernel, "exp>mul")[..] else { panic!("{:#?}", profile.events()) };
    assert_eq!(kernel.lines.iter().map(|at| at.line()).collect::<Vec<_>>(), [first, second]);
    let averages = profile.key_averages(GroupBy::SourceLine);
    let row = averages.rows().iter().find(|row| row.name == "exp>mul").unwrap();
    assert!(row.lines.len() == 2 && row.lines[0].ends_with(&format!("profiler.rs:{first}")), "{row:?}");
}

#[test]
fn averages_add_up() {
    on_every_device(|dev| {
        let options = ProfileOptions { profile_memory: true, ..Default::default() };
        let (profile, at, _) = profiled(dev, options)?;
        for group_by in [GroupBy::Name, GroupBy::InputShapes, GroupBy::SourceLine] {
            let averages = profile.key_averages(group_by);
            let rows = averages.rows();
            assert_eq!(rows.iter().map(|row| row.calls).sum::<usize>(), profile.events().len());
            // Each moment of the host belongs to one event: what is in no other event has all of the time.
            let mut outermost = Duration::ZERO;
            let mut until = Duration::ZERO;
            for event in profile.events().iter().filter(|event| event.kind != EventKind::Kernel) {
                if event.start >= until {
                    (outermost, until) = (outermost + event.duration, end(event));
                }
            }
            assert_eq!(rows.iter().map(|row| row.self_host_time).sum::<Duration>(), outermost, "{averages}");
            let kernels = profile.events().iter().filter(|event| event.kind == EventKind::Kernel);
            let device: Duration = kernels.map(|event| event.duration).sum();
            assert_eq!(rows.iter().map(|row| row.device_time).sum::<Duration>(), device);
        }
        let averages = profile.key_averages(GroupBy::InputShapes);
        let mm: Vec<_> = averages.rows().iter().filter(|row| row.name == "mm").collect();
        assert!(mm.iter().any(|row| row.kind == EventKind::Forward && row.shapes == [[32, 16], [16, 8]]), "{mm:?}");
        let flush = profile.key_averages(GroupBy::Name).rows().iter().find(|row| row.name == "flush").unwrap().clone();
        assert!(flush.allocated >= 4 * 16 * 8, "what is computed takes memory: {flush:?}");
        let table = profile.key_averages(GroupBy::SourceLine).table(SortBy::DeviceTime, 3);
        assert_eq!(table.lines().count(), 6, "a head, three rows, how many more, and sums: {table}");
        assert!(
            table.contains(&format!("profiler.rs:{at}")) && table.lines().nth(1).unwrap().starts_with("kernel"),
            "{table}"
        );
        Ok(())
    });
}

#[test]
fn ranges_nest_and_belong_to_their_threads() {
    let dev = Device::cpu();
    let run = |all: bool| {
        let running = profile(ProfileOptions { profile_all_threads: all, ..Default::default() });
        let y = record_function("outer", || record_function("inner", || Tensor::rand([4], &dev).exp()));
        std::thread::scope(|scope| {
            let other = || record_function("elsewhere", || y.exp().to_vec::<f32>().unwrap());
            scope.spawn(other).join().unwrap();
        });
        running.stop().unwrap()
    };
    let own = run(false);
    let [outer] = named(&own, EventKind::Range, "outer")[..] else { panic!() };
    let [inner] = named(&own, EventKind::Range, "inner")[..] else { panic!() };
    let [exp] = named(&own, EventKind::Forward, "exp")[..] else { panic!("{:#?}", own.events()) };
    assert!(outer.start <= inner.start && inner.start <= exp.start);
    assert!(end(exp) <= end(inner) && end(inner) <= end(outer));
    assert_eq!(outer.self_time, outer.duration - inner.duration);
    assert!(named(&own, EventKind::Range, "elsewhere").is_empty());
    let all = run(true);
    let [elsewhere] = named(&all, EventKind::Range, "elsewhere")[..] else { panic!() };
    assert_ne!(elsewhere.row, named(&all, EventKind::Range, "outer")[0].row);
    assert!(all.events().iter().any(|event| event.row == elsewhere.row && event.name == "exp"));
}

#[test]
fn profiles_nest_and_end_in_any_order() {
    let dev = Device::cpu();
    let outer = profile(ProfileOptions::default());
    let x = Tensor::rand([4], &dev).exp();
    let inner = profile(ProfileOptions::default());
    let y = x.sin();
    let outer = outer.stop().unwrap();
    y.cos().to_vec::<f32>().unwrap();
    let inner = inner.stop().unwrap();
    let has = |profile: &Profile, name: &str| !named(profile, EventKind::Forward, name).is_empty();
    assert_eq!(["exp", "sin", "cos"].map(|name| has(&outer, name)), [true, true, false]);
    assert_eq!(["exp", "sin", "cos"].map(|name| has(&inner, name)), [false, true, true]);
}

#[test]
fn a_panic_inside_leaves_everything_usable() {
    for dev in devices() {
        let caught = wgrad::catch(|| {
            let _running = profile(ProfileOptions::default());
            record_function("fails", || {
                let y = Tensor::rand([2, 3], &dev).exp();
                dev.flush().unwrap();
                y.matmul(&y)
            })
        });
        assert!(caught.is_err());
        assert_eq!(Tensor::ones([2], &dev).exp().sum().item().unwrap() as f32, 2.0 * 1f32.exp());
        let (profile, ..) = profiled(&dev, ProfileOptions::default()).unwrap();
        assert!(named(&profile, EventKind::Range, "fails").is_empty());
        assert!(
            profile
                .events()
                .iter()
                .all(|event| event.kind != EventKind::Kernel || event.duration < Duration::from_secs(60))
        );
    }
}

#[test]
fn a_path_that_cannot_be_written_is_named() {
    let dev = Device::cpu();
    let nowhere = path("no-such-folder").join("trace.json");
    let (profile, ..) = profiled(&dev, ProfileOptions::default()).unwrap();
    let errors = [profile.export_chrome_trace(&nowhere).unwrap_err(), dev.trace(&nowhere).err().unwrap()];
    for error in errors {
        assert!(error.to_string().contains("no-such-folder"), "{error}");
    }
}

/// The events of a file, checked: every one has its fields, rows nest, arrows pair.
fn trace_events(path: &PathBuf) -> Vec<Value> {
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let events = file["traceEvents"].as_array().unwrap().clone();
    let mut rows: HashMap<(u64, u64), Vec<(f64, f64)>> = HashMap::new();
    let mut arrows: HashMap<u64, Vec<(String, f64)>> = HashMap::new();
    let mut names = HashMap::new();
    for event in &events {
        let (pid, tid) = (event["pid"].as_u64().unwrap(), event["tid"].as_u64().unwrap());
        match event["ph"].as_str().unwrap() {
            "X" => {
                let (ts, dur) = (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
                assert!(ts >= 0.0 && dur >= 0.0 && event["name"].is_string() && event["cat"].is_string(), "{event}");
                rows.entry((pid, tid)).or_default().push((ts, ts + dur));
            }
            "M" => _ = names.insert((pid, tid), event["args"]["name"].as_str().unwrap().to_owned()),
            "C" => assert!(event["ts"].is_f64() && event["args"]["bytes in use"].is_u64(), "{event}"),
            phase @ ("s" | "f") => {
                let ts = event["ts"].as_f64().unwrap();
                arrows.entry(event["id"].as_u64().unwrap()).or_default().push((phase.to_owned(), ts));
            }
            other => panic!("no phase {other} is written"),
        }
    }
    for (place, events) in rows {
        assert!(names.contains_key(&place), "row {place:?} has a name");
        let mut around: Vec<(f64, f64)> = Vec::new();
        for (start, stop) in events {
            // Nanoseconds as microseconds are rounded far below a nanosecond.
            while around.last().is_some_and(|(_, end)| *end <= start + 1e-4) {
                around.pop();
            }
            assert!(around.last().is_none_or(|(_, end)| stop <= end + 1e-4), "{start} to {stop} in {around:?}");
            around.push((start, stop));
        }
    }
    for (id, ends) in arrows {
        let [(from, begun), (to, ended)] = &ends[..] else { panic!("arrow {id} has {ends:?}") };
        assert!(from == "s" && to == "f" && begun <= ended, "arrow {id}: {ends:?}");
    }
    events
}

#[test]
fn traces_are_valid_and_have_rows_arrows_and_counters() {
    on_every_device(|dev| {
        let (file, short) =
            (path(&format!("{}.json", dev.name().len())), path(&format!("{}-short.json", dev.name().len())));
        let (profile, at, _) = profiled(dev, ProfileOptions { profile_memory: true, ..Default::default() })?;
        profile.export_chrome_trace(&file)?;
        let events = trace_events(&file);
        let count = |phase: &str| events.iter().filter(|event| event["ph"] == phase).count();
        assert_eq!(count("X"), profile.events().len());
        assert_eq!(count("C"), profile.memory().len());
        assert!(count("C") > 0 && count("s") == 4 && count("f") == 4, "mm, tanh, exp, sum");
        for cat in ["forward", "backward", "optimizer", "flush", "transfer", "kernel"] {
            assert!(events.iter().any(|event| event["cat"] == cat), "{cat}");
        }
        let mm = events.iter().find(|event| event["name"] == "mm").unwrap();
        assert!(mm["args"]["lines"][0].as_str().unwrap().ends_with(&format!("profiler.rs:{at}")), "{mm}");
        assert_eq!(mm["args"]["shape"], serde_json::json!([32, 8]));
        // The short form; what is pending is played at its end.
        let trace = dev.trace(&short)?;
        let y = Tensor::rand([8], dev).exp();
        trace.finish()?;
        let events = trace_events(&short);
        assert!(events.iter().any(|event| event["cat"] == "kernel" && event["name"].as_str().unwrap().contains("exp")));
        drop(y);
        // Dropped, it is written as well.
        drop(dev.trace(&short)?);
        trace_events(&short);
        [file, short].iter().for_each(|path| std::fs::remove_file(path).unwrap());
        Ok(())
    });
}

#[test]
fn memory_is_noted_as_it_comes_and_goes() {
    for dev in own_devices() {
        let running = profile(ProfileOptions { profile_memory: true, ..Default::default() });
        let x = Tensor::rand([1024], &dev).exp();
        x.to_vec::<f32>().unwrap();
        drop(x);
        let profile = running.stop().unwrap();
        let records = profile.memory();
        let taken: i64 = records.iter().map(|record| record.bytes.max(0)).sum();
        assert!(taken >= 4096, "{records:?}");
        let rows: std::collections::HashSet<_> = records.iter().map(|record| record.device.clone()).collect();
        for row in rows {
            let mut live = 0;
            for record in records.iter().filter(|record| record.device == row) {
                live += record.bytes;
                assert_eq!(live, record.live as i64, "{records:?}");
            }
            assert!(row.as_ref() == "staging" || live == 0, "all is given back: {records:?}");
        }
    }
}

#[test]
fn a_device_without_timestamps_says_so() {
    if gpu().is_none() {
        return;
    }
    let dev = open_gpu_with(&GpuOptions { adapted: false, ..Default::default() }, false, None).unwrap();
    let (profile, ..) = profiled(&dev, ProfileOptions::default()).unwrap();
    assert_eq!(profile.untimed_devices(), [dev.name()]);
    assert!(profile.events().iter().all(|event| event.kind != EventKind::Kernel), "no time is made up");
    let table = profile.key_averages(GroupBy::Name).to_string();
    assert!(table.contains("has no timestamps"), "{table}");
    let (profile, ..) = profiled(&gpu().unwrap(), ProfileOptions { kernels: false, ..Default::default() }).unwrap();
    assert!(profile.events().iter().all(|event| event.kind != EventKind::Kernel));
    assert!(profile.untimed_devices().is_empty(), "nobody asked");
}

#[test]
fn a_plan_is_explained_with_times_and_shares() {
    for dev in own_devices().into_iter().filter(|dev| dev.name() != "cpu") {
        let x = Tensor::rand([256, 256], &dev);
        let y = || (x.matmul(&x).to_vec::<f32>().unwrap(), x.exp().to_vec::<f32>().unwrap());
        y();
        assert!(!dev.explain().contains("µs"), "{}", dev.explain());
        let running = profile(ProfileOptions::default());
        y();
        running.stop().unwrap();
        let plan = dev.explain();
        let line = plan.lines().find(|line| line.contains("exp")).unwrap();
        assert!(line.contains(" µs, ") && line.contains("GB/s, ") && line.contains(" % of "), "{plan}");
        let running = profile(ProfileOptions::default());
        x.matmul(&x).to_vec::<f32>().unwrap();
        running.stop().unwrap();
        let plan = dev.explain();
        let line = plan.lines().find(|line| line.contains("matmul")).unwrap();
        assert!(line.contains("GFLOP/s, ") && line.contains(" % of "), "{plan}");
    }
}

#[test]
fn stats_tell_bytes_moved_and_memory_by_class() {
    for dev in own_devices() {
        let x = leaf(&[1.0; 256], &dev);
        let before = dev.stats();
        assert_eq!((before.bytes_to_device, before.live_bytes >= 1024), (1024, true), "{before:?}");
        let y = x.exp();
        let z = y.tanh().sum();
        // `exp` and `tanh` keep their results.
        assert_eq!(dev.stats().saved_bytes, 2 * 1024);
        assert!((z.item().unwrap() - 256.0 * 1f64.exp().tanh()).abs() < 1e-3);
        let during = dev.stats();
        assert_eq!(during.bytes_to_host, 4);
        assert!(
            during.live_bytes >= before.live_bytes + 2 * 1024 && during.peak_bytes >= during.live_bytes,
            "{during:?}"
        );
        z.backward().unwrap();
        assert_eq!(dev.stats().saved_bytes, 0);
        assert_eq!(dev.stats().peak_saved_bytes, 2 * 1024);
        let g = x.grad().unwrap();
        g.to_vec::<f32>().unwrap();
        let after = dev.stats();
        assert_eq!(after.bytes_to_host, 4 + 1024);
        if dev.name() != "cpu" {
            assert!(after.compile_time > Duration::ZERO);
            assert_eq!(after.pooled_bytes, after.bytes - after.live_bytes);
            let large = Tensor::rand([64, 64], &dev);
            // Temporaries of one expression would be held until its end.
            let once = large.matmul(&large.softmax(1));
            let twice = once.matmul(&large);
            drop(once);
            twice.to_vec::<f32>().unwrap();
            assert!(dev.stats().peak_temporary_bytes >= 64 * 64 * 4, "{:?}", dev.stats());
        }
        drop((y, z, g));
        assert!(dev.stats().live_bytes < after.live_bytes, "{:?}", dev.stats());
    }
}
