//! Losses as values with options, for those who like to hand them around; each is a row.

use crate::ops::loss::{GaussianNllOptions, PoissonNllOptions, Reduction};
use crate::ops::loss_classes::{CrossEntropyOptions, NllOptions};
use crate::ops::loss_ctc::CtcOptions;
use crate::ops::loss_pairs::TripletOptions;
use crate::tensor::Tensor;

macro_rules! losses {
    ($($name:ident ($($field:ident: $type:ty = $default:expr),*) |$s:ident, $x:ident $(, $t:ident: $operand:ty)*| $y:expr, $f:literal;)*) => { $(
        #[doc = concat!("[`Tensor::", $f, "`] with its options.")]
        ///
        /// Source: [torch.nn](https://docs.pytorch.org/docs/stable/nn.html#loss-functions).
        #[derive(Clone, Debug)]
        pub struct $name {
            $(
                #[doc = concat!("`", stringify!($default), "` unless it is said.")]
                pub $field: $type,
            )*
        }

        impl Default for $name {
            fn default() -> $name {
                $name { $($field: $default),* }
            }
        }

        impl $name {
            #[doc = concat!("[`Tensor::", $f, "`].")]
            #[track_caller]
            pub fn forward(&self, x: &Tensor $(, $t: $operand)*) -> Tensor {
                let ($s, $x) = (self, x);
                $y
            }
        }
    )* };
}

losses! {
    L1Loss(reduction: Reduction = Reduction::Mean) |s, x, t: &Tensor| x.l1_loss(t, s.reduction), "l1_loss";
    MSELoss(reduction: Reduction = Reduction::Mean) |s, x, t: &Tensor| x.mse_loss(t, s.reduction), "mse_loss";
    SmoothL1Loss(beta: f64 = 1.0, reduction: Reduction = Reduction::Mean)
        |s, x, t: &Tensor| x.smooth_l1_loss(t, s.beta, s.reduction), "smooth_l1_loss";
    HuberLoss(delta: f64 = 1.0, reduction: Reduction = Reduction::Mean)
        |s, x, t: &Tensor| x.huber_loss(t, s.delta, s.reduction), "huber_loss";
    BCELoss(weight: Option<Tensor> = None, reduction: Reduction = Reduction::Mean)
        |s, x, t: &Tensor| x.binary_cross_entropy(t, s.weight.as_ref(), s.reduction), "binary_cross_entropy";
    BCEWithLogitsLoss(weight: Option<Tensor> = None, pos_weight: Option<Tensor> = None, reduction: Reduction = Reduction::Mean)
        |s, x, t: &Tensor| x.binary_cross_entropy_with_logits(t, s.weight.as_ref(), s.pos_weight.as_ref(), s.reduction),
        "binary_cross_entropy_with_logits";
    CrossEntropyLoss(options: CrossEntropyOptions = CrossEntropyOptions::default())
        |s, x, t: &Tensor| x.cross_entropy_with(t, s.options.clone()), "cross_entropy_with";
    NLLLoss(options: NllOptions = NllOptions::default()) |s, x, t: &Tensor| x.nll_loss_with(t, s.options.clone()),
        "nll_loss_with";
    KLDivLoss(log_target: bool = false, reduction: Reduction = Reduction::Mean)
        |s, x, t: &Tensor| x.kl_div(t, s.log_target, s.reduction), "kl_div";
    PoissonNLLLoss(options: PoissonNllOptions = PoissonNllOptions::default())
        |s, x, t: &Tensor| x.poisson_nll_loss(t, s.options), "poisson_nll_loss";
    GaussianNLLLoss(options: GaussianNllOptions = GaussianNllOptions::default())
        |s, x, t: &Tensor, v: &Tensor| x.gaussian_nll_loss(t, v, s.options), "gaussian_nll_loss";
    SoftMarginLoss(reduction: Reduction = Reduction::Mean) |s, x, t: &Tensor| x.soft_margin_loss(t, s.reduction),
        "soft_margin_loss";
    TripletMarginLoss(options: TripletOptions = TripletOptions::default())
        |s, x, p: &Tensor, n: &Tensor| x.triplet_margin_loss(p, n, s.options), "triplet_margin_loss";
    CtcLoss(options: CtcOptions = CtcOptions::default())
        |s, x, t: &Tensor, lengths: &[usize], of_targets: &[usize]| x.ctc_loss(t, lengths, of_targets, s.options),
        "ctc_loss";
}
