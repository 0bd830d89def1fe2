//! Reverse-mode differentiation: adds the backward nodes to the graph.

use std::collections::{HashMap, HashSet};

use crate::error::{Error, Result};
use crate::graph::{Graph, Tensor};
use crate::ops::{elementwise, fill};
use crate::tensor::DType;

/// Gradients of the scalar `loss` with respect to each tensor of `wrt`, as new values.
///
/// Only nodes between `wrt` and `loss` get a backward node, and only for the inputs on the way:
/// asking for an input's gradient alone computes none for weights. Variables are leaves; a
/// variable's writes are not differentiated through.
pub fn gradients(graph: &mut Graph, loss: Tensor, wrt: &[Tensor]) -> Result<Vec<Tensor>> {
    let shape = graph.shape(loss).clone();
    let seed = fill(graph, shape, 1.0)?;
    gradients_from(graph, &[(loss, seed)], wrt)
}

/// Like [`gradients`], from given gradients of several tensors: `(tensor, its gradient)`.
pub fn gradients_from(graph: &mut Graph, seeds: &[(Tensor, Tensor)], wrt: &[Tensor]) -> Result<Vec<Tensor>> {
    let forward: Vec<_> = graph.nodes().iter().filter(|node| !node.assigns).cloned().collect();
    let mut depends: HashSet<Tensor> = wrt.iter().copied().collect();
    for node in &forward {
        if node.inputs.iter().any(|t| depends.contains(t)) {
            depends.extend(&node.outputs);
        }
    }
    let mut gradient: HashMap<Tensor, Tensor> = seeds.iter().copied().collect();
    for node in forward.iter().rev() {
        let upstream: Vec<_> = node.outputs.iter().map(|t| gradient.get(t).copied()).collect();
        let floats = |t: &Tensor| graph.dtype(*t) == DType::F32;
        let wanted: Vec<_> = node.inputs.iter().map(|t| depends.contains(t) && floats(t)).collect();
        if upstream.iter().all(Option::is_none) || !wanted.contains(&true) {
            continue;
        }
        let contributions = node.op.gradient(graph, node, &upstream, &wanted)?;
        for ((&input, contribution), wanted) in node.inputs.iter().zip(contributions).zip(wanted) {
            let Some(new) = contribution.filter(|_| wanted) else { continue };
            let sum = match gradient.get(&input) {
                Some(&old) => elementwise::add(graph, old, new)?,
                None => new,
            };
            gradient.insert(input, sum);
        }
    }
    wrt.iter()
        .map(|t| {
            let missing = || format!("nothing flows back to a tensor of shape {}", graph.shape(*t));
            gradient.get(t).copied().ok_or_else(|| Error::Shape { op: "gradients", message: missing() })
        })
        .collect()
}
