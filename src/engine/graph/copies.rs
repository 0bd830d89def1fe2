//! Elision of copies: where no node sees a difference, the node that makes a value writes it directly to the variable
//! that it is copied to.

use std::collections::HashMap;

use super::{Graph, Node, Storage, Tensor};

/// The graph in which values that are copied to variables live in them where that is safe, and for each node whether it
/// is such a copy, which is not made.
pub(super) fn elide(graph: &Graph) -> (Graph, Vec<bool>) {
    let mut graph = graph.duplicate();
    let mut gone = vec![false; graph.nodes.len()];
    let mut maker: HashMap<Tensor, usize> = HashMap::new();
    for at in 0..graph.nodes.len() {
        let node = &graph.nodes[at];
        if !node.assigns {
            maker.extend(node.outputs.iter().map(|&t| (t, at)));
            continue;
        }
        let (is_copy, value, target) = (node.op.is_copy(), node.inputs.first().copied(), node.outputs[0]);
        let Some(value) = value.filter(|_| is_copy) else { continue };
        if maker
            .get(&value)
            .is_some_and(|&made| Move { graph: &graph, gone: &gone, value, target, made, at }.fits())
        {
            graph.tensors[value.index as usize].storage = Storage::View { base: target, offset: 0 };
            gone[at] = true;
        }
    }
    (graph, gone)
}

/// The elision of the copy `at`: the node `made` writes `value` to the variable `target` itself.
struct Move<'a> {
    graph: &'a Graph,
    gone: &'a [bool],
    value: Tensor,
    target: Tensor,
    made: usize,
    at: usize,
}

impl Move<'_> {
    /// Whether no node sees a difference.
    fn fits(&self) -> bool {
        let is_value = matches!(self.graph.info(self.value).storage, Storage::Value);
        let around = |at: usize| self.graph.loops.iter().position(|l| l.nodes.contains(&at));
        is_value
            && around(self.made) == around(self.at)
            && self.maker_may_write()
            && self.nodes(self.made + 1..self.at).all(|node| !self.touches(node) && self.may_read(node))
            && self.is_read_in_time()
    }

    fn nodes(&self, span: std::ops::Range<usize>) -> impl Iterator<Item = &Node> {
        span.filter(|&i| !self.gone[i]).map(|i| &self.graph.nodes[i])
    }

    fn is_of_target(&self, t: Tensor) -> bool {
        self.graph.root(t).0 == self.graph.root(self.target).0
    }

    /// Whether the node reads or writes the words that are now overwritten earlier.
    fn touches(&self, node: &Node) -> bool {
        node.inputs.iter().chain(&node.outputs).any(|&t| self.graph.overlap(t, self.target))
    }

    /// Whether the node that makes the value may write the variable. A kernel may not read one part of a variable and
    /// write another, unless it works in place.
    fn maker_may_write(&self) -> bool {
        let node = &self.graph.nodes[self.made];
        let in_place = |i: usize, t: Tensor| {
            node.op.in_place() == Some(i)
                && node.outputs[0] == self.value
                && self.graph.root(t) == self.graph.root(self.target)
                && self.graph.info(t).shape.len() == self.graph.info(self.target).shape.len()
        };
        let inputs = node.inputs.iter().enumerate().all(|(i, &t)| !self.is_of_target(t) || in_place(i, t));
        inputs && node.outputs.iter().all(|&t| !self.graph.overlap(t, self.target))
    }

    fn reads(&self, node: &Node) -> bool {
        node.inputs.iter().any(|&t| self.graph.root(t).0 == self.value)
    }

    /// Whether the node does not read the value, or writes nothing of the variable.
    fn may_read(&self, node: &Node) -> bool {
        !self.reads(node) || node.outputs.iter().all(|&t| !self.is_of_target(t))
    }

    fn overwrites(&self, node: &Node) -> bool {
        node.outputs.iter().any(|&t| self.graph.overlap(t, self.target))
    }

    /// Whether all later reads of the value come before the variable is overwritten.
    fn is_read_in_time(&self) -> bool {
        let end = self.graph.nodes.len();
        let mut overwritten = false;
        let in_order = self.nodes(self.at + 1..end).all(|node| {
            let fine = !self.reads(node) || !overwritten && self.may_read(node);
            overwritten |= self.overwrites(node);
            fine
        });
        // A later loop reads the value in every iteration.
        let mut loops = self.graph.loops.iter().filter(|l| l.nodes.start > self.at);
        in_order
            && loops.all(|l| {
                let reads = self.nodes(l.nodes.clone()).any(|node| self.reads(node));
                !reads || !self.nodes(l.nodes.clone()).any(|node| self.overwrites(node))
            })
    }
}
