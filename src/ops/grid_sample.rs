//! Sampling at places that a tensor holds, and the grids of such places.

use crate::dtype::DType;
use crate::error::misuse;
use crate::shape::Dims;
use crate::tensor::Tensor;
use crate::tensor::autocast::no_autocast;

/// How [`Tensor::grid_sample`] finds the elements between elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GridMode {
    /// Straight lines between the neighbours: PyTorch's `bilinear`, also for three dimensions.
    #[default]
    Linear,
    /// The nearest element; of two, the one with the even index.
    Nearest,
    /// Cubics through four neighbours, in two dimensions: `bicubic`.
    Cubic,
}

/// What [`Tensor::grid_sample`] sees outside of its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GridPadding {
    /// Zeros.
    #[default]
    Zeros,
    /// The outermost elements.
    Border,
    /// The input in a mirror at its ends, and so on.
    Reflection,
}

/// The settings of [`Tensor::grid_sample`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GridSampleOptions {
    /// How elements between elements are found: linearly.
    pub mode: GridMode,
    /// What lies outside: zeros.
    pub padding: GridPadding,
    /// Whether -1 and 1 are the middles of the outermost elements, and not their outer ends: no.
    pub align_corners: bool,
}

/// The neighbours of a place along one dimension: where they are, as floats, and their weights.
type Neighbours = Vec<(Tensor, Option<Tensor>)>;

impl Tensor {
    /// `[batch, channels, sizes..]` sampled at the places of `grid`, `[batch, other sizes.., dims]`: coordinates from -1 to 1, that of
    /// the last dimension first. Derivatives: `g` carried back by the weights, and by the slopes to the grid.
    ///
    /// ```
    /// use wgrad::{Device, GridSampleOptions, Tensor};
    /// let dev = Device::cpu();
    /// let x = Tensor::new([[[[1.0, 2.0], [3.0, 4.0]]]], &dev);
    /// let y = x.grid_sample(&Tensor::zeros([1, 1, 1, 2], &dev), GridSampleOptions::default());
    /// assert_eq!(y.item()?, 2.5);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the shapes do not fit, the input has neither two nor three spatial dimensions (two for `Cubic`), or one is empty.
    ///
    /// Source: [torch.nn.functional.grid_sample](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.grid_sample.html).
    #[track_caller]
    pub fn grid_sample(&self, grid: &Tensor, options: GridSampleOptions) -> Tensor {
        let op = "grid_sample";
        self.expect_float(op);
        let [x, grid] = &Tensor::widest([self, grid]);
        x.expect_multipliable(op, grid);
        let dims = self.rank().saturating_sub(2);
        let fits = (2..=3).contains(&dims)
            && grid.rank() == dims + 2
            && grid.shape()[0] == self.shape()[0]
            && grid.shape()[dims + 1] == dims
            && !self.shape()[1..].contains(&0)
            && (options.mode != GridMode::Cubic || dims == 2);
        if !fits {
            misuse(op, format!("{:?} does not sample {:?} at {:?}", options.mode, self.shape(), grid.shape()));
        }
        let (dtype, compute) = (x.dtype(), x.dtype().compute());
        let (x, grid) = (x.cast(compute), grid.cast(compute));
        let sizes = &self.shape()[2..];
        let mut places: Vec<Neighbours> = Vec::new();
        for (d, &n) in sizes.iter().enumerate() {
            places.push(neighbours(&grid.select(-1, (dims - 1 - d) as isize), n, &options));
        }
        let flat = x.flatten(2, -1);
        let mut shape = Dims::from_slice(&grid.shape()[..dims + 1]);
        let count: usize = shape[1..].iter().product();
        shape.insert(1, self.shape()[1]);
        let wide = [shape[0], shape[1], count];
        let mut y: Option<Tensor> = None;
        // Every combination of one neighbour per dimension.
        let combinations: usize = places.iter().map(Vec::len).product();
        for combination in 0..combinations {
            let (mut rest, mut index, mut weight) = (combination, None::<Tensor>, None::<Tensor>);
            let mut within: Option<Tensor> = None;
            for (line, &n) in places.iter().zip(sizes) {
                let (at, share) = &line[rest % line.len()];
                rest /= line.len();
                let inside = at.ge(0.0).logical_and(at.le((n - 1) as f64));
                let share = match share {
                    Some(share) => Tensor::where_(&inside, share, 0.0),
                    None => inside.cast(compute),
                };
                weight = Some(weight.map_or(share.clone(), |weight| weight * share));
                within = Some(within.map_or(inside.clone(), |within| within.logical_and(inside)));
                let at = at.clamp(0.0, (n - 1) as f64).cast(DType::I32);
                index = Some(index.map_or(at.clone(), |index| index * n + at));
            }
            let (index, weight) = (index.expect("there are dimensions"), weight.expect("there are dimensions"));
            let line = [shape[0], 1, count];
            let within = within.expect("there are dimensions").reshape(line);
            let seen = Tensor::where_(&within, flat.gather(2, &index.reshape(line).expand(wide)), 0.0);
            let part = seen * weight.reshape(line);
            y = Some(y.map_or(part.clone(), |y| y + part));
        }
        y.expect("there is a combination").reshape(&shape[..]).cast(dtype)
    }

    /// The grid for [`Tensor::grid_sample`] that an affine map makes: `[batch, dims, dims + 1]` matrices and the `size` of the
    /// result, `[batch, channels, sizes..]`, give `[batch, sizes.., dims]`. Derivative: the sum of `g` times the coordinates.
    ///
    /// # Panics
    /// If the matrices do not fit the size.
    ///
    /// Source: [torch.nn.functional.affine_grid](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.affine_grid.html).
    #[track_caller]
    pub fn affine_grid(&self, size: &[usize], align_corners: bool) -> Tensor {
        self.expect_float("affine_grid");
        let dims = size.len().saturating_sub(2);
        if !(2..=3).contains(&dims) || *self.shape() != [size[0], dims, dims + 1] || size.contains(&0) {
            misuse("affine_grid", format!("maps {:?} do not fit a result of {size:?}", self.shape()));
        }
        let sizes = &size[2..];
        let count: usize = sizes.iter().product();
        let (device, compute) = (self.device(), self.dtype().compute());
        // The last dimension's coordinate first, and a 1 for the shift.
        let mut columns = Vec::new();
        for d in (0..dims).rev() {
            let n = sizes[d] as f64;
            let (step, first) = match align_corners {
                true if sizes[d] == 1 => (0.0, 0.0),
                true => (2.0 / (n - 1.0), -1.0),
                false => (2.0 / n, 1.0 / n - 1.0),
            };
            let mut shape = Dims::from_elem(1, dims);
            shape[d] = sizes[d];
            let line = Tensor::arange(0, sizes[d], 1, &device).cast(compute) * step + first;
            columns.push(line.reshape(&shape[..]).expand(sizes).reshape(count));
        }
        columns.push(Tensor::ones([count], (&device, compute)));
        let mut shape = Dims::from_slice(&size[..1]);
        shape.extend_from_slice(sizes);
        shape.push(dims);
        // Places are no factors: a narrow float has too few digits for them.
        let _as_given = no_autocast();
        let grid = Tensor::stack(&columns, 1).matmul(&self.cast(compute).transpose(1, 2));
        grid.reshape(&shape[..]).cast(self.dtype())
    }
}

/// The neighbours of the places with coordinates `c` along a dimension of `n` elements.
#[track_caller]
fn neighbours(c: &Tensor, n: usize, options: &GridSampleOptions) -> Neighbours {
    let size = n as f64;
    let place = match options.align_corners {
        true => (c + 1.0) * ((size - 1.0) / 2.0),
        false => ((c + 1.0) * size - 1.0) * 0.5,
    };
    match options.mode {
        GridMode::Nearest => vec![(inward(&place, size, options).untracked().round(), None)],
        GridMode::Linear => {
            let place = inward(&place, size, options);
            let below = place.untracked().floor();
            let share = &place - &below;
            vec![(below.clone(), Some(1.0 - &share)), (below + 1.0, Some(share))]
        }
        GridMode::Cubic => {
            let below = place.untracked().floor();
            let share = &place - &below;
            let mut found = Vec::new();
            for k in -1..3 {
                // The distance to this neighbour is between 0 and 1 for the two in the middle, else between 1 and 2.
                let x = if k <= 0 { &share - k as f64 } else { k as f64 - &share };
                let a = -0.75;
                let weight = match k {
                    0 | 1 => ((a + 2.0) * &x - (a + 3.0)) * &x * &x + 1.0,
                    _ => ((a * &x - 5.0 * a) * &x + 8.0 * a) * &x - 4.0 * a,
                };
                found.push((inward(&(&below + k as f64), size, options).round(), Some(weight)));
            }
            found
        }
    }
}

/// Places brought inside, as the padding says.
#[track_caller]
fn inward(place: &Tensor, size: f64, options: &GridSampleOptions) -> Tensor {
    let mirrored = match options.padding {
        GridPadding::Zeros => return place.clone(),
        GridPadding::Border => place.clone(),
        GridPadding::Reflection => {
            // Mirrors stand at the middles of the outermost elements, or at their outer ends.
            let (low, span) = if options.align_corners { (0.0, size - 1.0) } else { (-0.5, size) };
            if span == 0.0 {
                return place * 0.0;
            }
            let away = (place - low).abs();
            let times = (away.untracked() / span).floor();
            let rest = &away - &times * span;
            let half = &times * 0.5;
            Tensor::where_(&half.floor().eq(&half), &rest, span - &rest) + low
        }
    };
    mirrored.clamp(0.0, size - 1.0)
}
