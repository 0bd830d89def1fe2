//! Reverse-mode differentiation: adds the backward nodes to the graph.

use std::collections::{HashMap, HashSet};

use crate::engine::graph::{Graph, Node, Tensor};
use crate::engine::ops::{elementwise, fill};
use crate::engine::tensor::DType;
use crate::error::{Error, Result};

/// Gradients of the scalar `loss` with respect to each tensor of `wrt`, as new values.
///
/// Only nodes between `wrt` and `loss` get backward nodes, and only for the inputs that depend on `wrt`: the gradient
/// by an image computes none by weights. Variables are leaves: nothing is differentiated through an assignment.
///
/// # Errors
/// [`Error::Shape`] where nothing flows back to a tensor of `wrt`, where an op has no gradient, and where a backward
/// node would read a variable that was overwritten since the forward pass read it.
pub fn gradients(graph: &mut Graph, loss: Tensor, wrt: &[Tensor]) -> Result<Vec<Tensor>> {
    let shape = graph.shape(loss)?.clone();
    let seed = fill(graph, shape, 1.0)?;
    gradients_from(graph, &[(loss, seed)], wrt)
}

/// Like [`gradients`], from given gradients of several tensors: pairs `(tensor, its gradient)` of one shape.
///
/// # Errors
/// As [`gradients`], and [`Error::Shape`] for a gradient of another shape than its tensor.
pub fn gradients_from(graph: &mut Graph, seeds: &[(Tensor, Tensor)], wrt: &[Tensor]) -> Result<Vec<Tensor>> {
    for &(t, seed) in seeds {
        let (shape, its) = (graph.shape(t)?, graph.shape(seed)?);
        if shape != its {
            let message = format!("a gradient of shape {its} for a tensor of shape {shape}");
            return Err(Error::Shape { op: "gradients", message });
        }
    }
    let all: Vec<_> = graph.nodes().iter().cloned().enumerate().collect();
    let forward: Vec<_> = all.into_iter().filter(|(_, node)| !node.assigns).collect();
    let mut depends: HashSet<Tensor> = wrt.iter().copied().collect();
    for (_, node) in &forward {
        if node.inputs.iter().any(|t| depends.contains(t)) {
            depends.extend(&node.outputs);
        }
    }
    refuse_views(graph, &forward, &depends)?;
    let mut gradient: HashMap<Tensor, Tensor> = HashMap::new();
    for &(t, seed) in seeds {
        accumulate(graph, &mut gradient, t, seed)?;
    }
    for (at, node) in forward.iter().rev() {
        let upstream: Vec<_> = node.outputs.iter().map(|t| gradient.get(t).copied()).collect();
        let floats = |t: &Tensor| graph.dtype(*t).is_ok_and(|dtype| dtype == DType::F32);
        let wanted: Vec<_> = node.inputs.iter().map(|t| depends.contains(t) && floats(t)).collect();
        if upstream.iter().all(Option::is_none) || !wanted.contains(&true) {
            continue;
        }
        let start = graph.nodes().len();
        let contributions = node.op.gradient(graph, node, &upstream, &wanted)?;
        refuse_stale(graph, *at, start)?;
        for ((&input, contribution), wanted) in node.inputs.iter().zip(contributions).zip(wanted) {
            if let Some(new) = contribution.filter(|_| wanted) {
                accumulate(graph, &mut gradient, input, new)?;
            }
        }
    }
    wrt.iter()
        .map(|t| {
            let shape = graph.shape(*t)?;
            let missing = || format!("nothing flows back to a tensor of shape {shape}");
            gradient.get(t).copied().ok_or_else(|| Error::Shape { op: "gradients", message: missing() })
        })
        .collect()
}

/// Adds `new` to the gradient of `t`.
fn accumulate(
    graph: &mut Graph,
    gradient: &mut HashMap<Tensor, Tensor>,
    t: Tensor,
    new: Tensor,
) -> Result<()> {
    let sum = match gradient.get(&t) {
        Some(&old) => {
            // Some gradients are flat, or have one row for each example.
            let shape = graph.shape(t)?.clone();
            let old = graph.view(old, 0, shape.clone())?;
            let new = graph.view(new, 0, shape)?;
            elementwise::add(graph, old, new)?
        }
        None => new,
    };
    gradient.insert(t, sum);
    Ok(())
}

/// Refuses reads through views: a view is another tensor than its base, so the gradient through it would be lost.
fn refuse_views(graph: &Graph, forward: &[(usize, Node)], depends: &HashSet<Tensor>) -> Result<()> {
    for (_, node) in forward {
        for t in node.inputs.iter().filter(|t| !depends.contains(t)) {
            if graph.bases(*t).any(|base| depends.contains(&base)) {
                let message =
                    format!("{} reads a view {} of a tensor on the way", node.op.name(), graph.shape(*t)?);
                return Err(Error::Shape { op: "gradients", message });
            }
        }
    }
    Ok(())
}

/// Refuses stale reads. The backward nodes from number `start` on are those of the forward node `at`: the variables
/// that they read must not have been written since that node.
fn refuse_stale(graph: &Graph, at: usize, start: usize) -> Result<()> {
    let (before, backward) = graph.nodes().split_at(start);
    for read in backward.iter().flat_map(|node| &node.inputs) {
        let writes = |node: &&Node| node.outputs.iter().any(|&written| graph.overlap(written, *read));
        if let Some(writer) = before[at + 1..].iter().find(writes) {
            let message = format!(
                "the gradient of {} needs {} as it was, and {} has overwritten it",
                before[at].op.name(),
                graph.describe(*read),
                writer.op.name()
            );
            return Err(Error::Shape { op: "gradients", message });
        }
    }
    Ok(())
}
