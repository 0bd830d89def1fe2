//! From a graph to a recording: dead nodes dropped, memory shared by lifetime.

use std::collections::HashMap;

use crate::engine::graph::{Graph, Io, Storage, Tensor, copies};
use crate::engine::kernel::{ALIGN_WORDS, BufferId, NONE, View};
use crate::engine::recording::{BufferSpec, Recording, Step, Variable};

/// A recording, and the size of its scratch memory.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The kernel calls and their buffers.
    pub recording: Recording,
    /// Words of scratch memory, which values share.
    pub scratch_words: usize,
    /// The same without sharing.
    pub unshared_words: usize,
}

/// First and last position at which a value is needed.
#[derive(Debug, Clone, Copy)]
struct Lifetime {
    from: usize,
    to: usize,
}

/// A piece of scratch memory that several values use, one after the other.
struct Slot {
    buffer: BufferId,
    words: usize,
    free_after: usize,
    /// The last loop that used it, by its first node, and the size of the values it held there.
    in_loop: Option<(usize, usize)>,
}

/// Plans `graph`: which nodes run, and where every tensor lies.
pub fn plan(graph: &Graph) -> Plan {
    let (graph, gone) = &copies::elide(graph);
    let live = live_nodes(graph, gone);
    let lifetimes = lifetimes(graph, &live);
    let mut buffers = vec![BufferSpec::scratch(NONE.words)];
    let mut placed: HashMap<Tensor, BufferId> = HashMap::new();
    for (i, info) in graph.tensors.iter().enumerate() {
        if let Storage::Variable(name) = &info.storage {
            placed.insert(graph.tensor(i), BufferId(buffers.len() as u32));
            let variable = Some(Variable { name: name.clone(), dtype: info.dtype });
            buffers.push(BufferSpec { words: info.shape.len(), variable });
        }
    }
    let (mut slots, mut unshared_words): (Vec<Slot>, usize) = (Vec::new(), 0);
    for at in (0..graph.nodes.len()).filter(|&at| live[at]) {
        for (o, &output) in graph.nodes[at].outputs.iter().enumerate() {
            let root = graph.root(output).0;
            if placed.contains_key(&root) {
                continue;
            }
            let words = graph.info(root).shape.len();
            let life = lifetimes[&root];
            unshared_words += words;
            let taken_over = (o == 0).then(|| dying_input(graph, at, root, &lifetimes)).flatten();
            let buffer = match taken_over {
                Some(input) => {
                    let buffer = placed[&input];
                    slots.iter_mut().filter(|s| s.buffer == buffer).for_each(|s| s.free_after = life.to);
                    buffer
                }
                None => take_slot(graph, &mut slots, &mut buffers, words, life),
            };
            placed.insert(root, buffer);
        }
    }
    for slot in &slots {
        buffers[slot.buffer.0 as usize].words = slot.words;
    }
    let steps = record(graph, &live, &placed);
    let scratch_words = slots.iter().map(|s| s.words).sum();
    Plan { recording: Recording { buffers, steps }, scratch_words, unshared_words }
}

/// The nodes that write a variable, and those they depend on; without the copies that are `gone`.
fn live_nodes(graph: &Graph, gone: &[bool]) -> Vec<bool> {
    let mut live = vec![false; graph.nodes.len()];
    let mut needed = vec![false; graph.tensors.len()];
    for (at, node) in graph.nodes.iter().enumerate().rev().filter(|(at, _)| !gone[*at]) {
        let effect = node.outputs.iter().any(|&t| graph.is_variable(t));
        if effect || node.outputs.iter().any(|&t| needed[graph.root(t).0.index as usize]) {
            live[at] = true;
            node.inputs.iter().for_each(|&t| needed[graph.root(t).0.index as usize] = true);
        }
    }
    live
}

/// The lifetimes of the values. A value from before a loop that the loop reads lives to the loop's last node, since
/// every iteration reads it: no node of the loop may take over its memory.
fn lifetimes(graph: &Graph, live: &[bool]) -> HashMap<Tensor, Lifetime> {
    let mut lifetimes: HashMap<Tensor, Lifetime> = HashMap::new();
    for (at, node) in graph.nodes.iter().enumerate().filter(|(at, _)| live[*at]) {
        for &t in node.outputs.iter().filter(|&&t| !graph.is_variable(t)) {
            lifetimes.entry(graph.root(t).0).or_insert(Lifetime { from: at, to: at });
        }
        for &t in &node.inputs {
            if let Some(life) = lifetimes.get_mut(&graph.root(t).0) {
                let around = graph.loops.iter().find(|l| l.nodes.contains(&at));
                let outlives = around.filter(|l| !l.nodes.contains(&life.from));
                life.to = life.to.max(outlives.map_or(at, |l| l.nodes.end - 1));
            }
        }
    }
    lifetimes
}

/// The input whose scratch memory the first output may take over: the op allows it, it is as large, and this node is
/// the last to read it, the next iteration of a loop included.
fn dying_input(
    graph: &Graph,
    at: usize,
    output: Tensor,
    lifetimes: &HashMap<Tensor, Lifetime>,
) -> Option<Tensor> {
    let node = &graph.nodes[at];
    let (input, offset) = graph.root(node.inputs[node.op.in_place()?]);
    let uses = node.inputs.iter().filter(|&&t| graph.root(t).0 == input).count();
    let fits = offset == 0 && uses == 1 && graph.info(input).shape.len() == graph.info(output).shape.len();
    let life = lifetimes.get(&input)?;
    let around = graph.loops.iter().find(|l| l.nodes.contains(&at));
    let made_here = around.is_none_or(|l| l.nodes.contains(&life.from));
    (fits && life.to == at && made_here).then_some(input)
}

/// The smallest free slot that is large enough, else the largest free one enlarged, else a new one.
///
/// Inside a loop the values of a slot have one size, so that row r of each lies at the same words. A back end may then
/// give each thread some rows for the whole loop.
fn take_slot(
    graph: &Graph,
    slots: &mut Vec<Slot>,
    buffers: &mut Vec<BufferSpec>,
    words: usize,
    life: Lifetime,
) -> BufferId {
    let around = graph.loops.iter().find(|l| l.nodes.contains(&life.from)).map(|l| (l.nodes.start, words));
    let same_rows = |s: &Slot| match (s.in_loop, around) {
        (Some((one, size)), Some((other, _))) => one != other || size == words,
        _ => true,
    };
    let free = slots.iter_mut().filter(|s| s.free_after < life.from && same_rows(s));
    if let Some(slot) = free.min_by_key(|s| (s.words < words, s.words.abs_diff(words))) {
        slot.words = slot.words.max(words);
        slot.free_after = life.to;
        slot.in_loop = around.or(slot.in_loop);
        return slot.buffer;
    }
    let buffer = BufferId(buffers.len() as u32);
    buffers.push(BufferSpec::scratch(words));
    slots.push(Slot { buffer, words: words.max(ALIGN_WORDS), free_after: life.to, in_loop: around });
    buffer
}

fn record(graph: &Graph, live: &[bool], placed: &HashMap<Tensor, BufferId>) -> Vec<Step> {
    let locate = |&t: &Tensor| {
        let (root, offset) = graph.root(t);
        let shape = graph.info(t).shape.clone();
        let view = View { buffer: placed[&root], offset, words: shape.len() };
        (shape, view)
    };
    let mut steps = Vec::new();
    let mut at = 0;
    while at < graph.nodes.len() {
        let around = graph.loops.iter().find(|l| l.nodes.contains(&at));
        let span = around.map_or(at..at + 1, |l| l.nodes.clone());
        at = span.end;
        let mut calls = span.filter(|&i| live[i]).map(|i| {
            let node = &graph.nodes[i];
            let (inputs, outputs) = (node.inputs.iter().map(locate), node.outputs.iter().map(locate));
            node.op.call(&Io { inputs: inputs.collect(), outputs: outputs.collect() })
        });
        match around {
            Some(l) => steps.push(Step::Repeat { times: l.times, body: calls.collect() }),
            None => steps.extend(calls.next().map(Step::Call)),
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ops;
    use crate::engine::recording::Call;
    use crate::engine::tensor::DType;

    /// The scratch views of a loop's calls.
    fn scratch(plan: &Plan, body: &[Call]) -> Vec<View> {
        let views = body.iter().flat_map(|call| call.args.iter().map(|arg| arg.view));
        views
            .filter(|v| *v != NONE && plan.recording.buffers[v.buffer.0 as usize].variable.is_none())
            .collect()
    }

    /// Layers of 40, 24, 32, 40 and 16 in a loop: memory is shared, but never between different widths.
    #[test]
    fn values_of_a_loop_share_memory_with_values_of_their_size_only() {
        let mut g = Graph::new();
        let x = g.variable("x", [64, 16], DType::F32).unwrap();
        let sizes = [16, 40, 24, 32, 40, 16];
        g.repeat(3, |g| {
            let mut y = x;
            for pair in sizes.windows(2) {
                let weight =
                    g.variable(&format!("w{}{}", pair[0], pair[1]), [pair[1], pair[0]], DType::F32)?;
                let bias = g.variable(&format!("b{}", pair[1]), [pair[1]], DType::F32)?;
                y = ops::linear(g, y, weight, bias, true)?;
            }
            ops::store(g, y, x)
        })
        .unwrap();
        let plan = plan(&g);
        let [Step::Repeat { body, .. }] = &plan.recording.steps[..] else { panic!("one loop") };
        let views = scratch(&plan, body);
        for (a, b) in views.iter().flat_map(|a| views.iter().map(move |b| (a, b))) {
            assert!(a.buffer != b.buffer || a == b, "{a:?} and {b:?}");
        }
        assert!(plan.scratch_words < plan.unshared_words);
    }
}
