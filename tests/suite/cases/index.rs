//! Indexing, sorting, searching.

use super::{ANY, Case, index};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("gather", &[(&[3, 4], ANY)], move |x| x[0].gather(1, &index(&x[0], &[0, 3, 3, 1], &[2, 2])).sin()),
        Case::new("scatter_add", &[(&[3, 4], ANY), (&[2, 3], ANY)], move |x| {
            x[0].scatter_add(0, &index(&x[0], &[0, 2, 2, 0, 1, 2], &[2, 3]), &x[1]).sin()
        }),
        Case::new("index_select", &[(&[3, 4], ANY)], move |x| {
            x[0].index_select(0, &index(&x[0], &[2, 0, 2], &[3])).sin()
        }),
    ]
}
