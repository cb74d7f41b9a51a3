//! What a run that goes on must have in common with the run before.

use crate::common::{Result, about};
use serde_json::Value;
use std::path::Path;

/// Writes the arguments of a run that begins; for one that goes on, an error names the first that is another than it was.
pub fn same_arguments(path: &Path, now: &Value, resume: bool) -> Result {
    if !resume || !path.exists() {
        std::fs::create_dir_all(path.parent().unwrap_or(path)).map_err(about(path))?;
        return std::fs::write(path, format!("{now:#}\n")).map_err(about(path));
    }
    let before: Value =
        serde_json::from_str(&std::fs::read_to_string(path).map_err(about(path))?).map_err(about(path))?;
    for (name, now) in now.as_object().into_iter().flatten() {
        let before = &before[name];
        if before != now {
            let why = "a run goes on under the same arguments, or begins anew without --resume";
            return Err(format!("--{name} is {now}, and was {before} in {}: {why}", path.display()).into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::finite;
    use serde_json::json;
    use wgrad::io::{Checkpoint, Checkpoints};

    #[test]
    fn a_run_goes_on_under_its_own_arguments_alone() -> Result {
        let folder = std::env::temp_dir().join(format!("wgrad-arguments-{}", std::process::id()));
        let path = folder.join("arguments.json");
        let all = |size: usize, dropout: f64| json!({ "size": size, "dropout": dropout, "precision": "f32" });
        same_arguments(&path, &all(96, 0.1), true)?;
        same_arguments(&path, &all(96, 0.1), true)?;
        for (other, text) in
            [(all(64, 0.1), "--size is 64, and was 96"), (all(96, 0.3), "--dropout is 0.3, and was 0.1")]
        {
            let error = same_arguments(&path, &other, true).unwrap_err().to_string();
            assert!(error.starts_with(text) && error.contains("arguments.json"), "{error}");
        }
        same_arguments(&path, &all(64, 0.1), false)?;
        same_arguments(&path, &all(64, 0.1), true)?;
        std::fs::write(&path, "{").map_err(about(&path))?;
        assert!(same_arguments(&path, &all(64, 0.1), true).unwrap_err().to_string().contains("arguments.json"));
        std::fs::remove_dir_all(&folder).map_err(about(&folder))
    }

    #[test]
    fn a_loss_that_is_no_number_is_told_with_the_checkpoints_there_are() -> Result {
        let folder = std::env::temp_dir().join(format!("wgrad-finite-{}", std::process::id()));
        let checkpoints = Checkpoints::open(&folder)?;
        checkpoints.save(&Checkpoint::new(100))?;
        assert_eq!(finite(0.5, &checkpoints)?, 0.5);
        let error = finite(f64::NAN, &checkpoints).unwrap_err().to_string();
        assert_eq!(error, "the loss is NaN; there are checkpoints after steps [100]");
        std::fs::remove_dir_all(&folder).map_err(about(&folder))
    }
}
