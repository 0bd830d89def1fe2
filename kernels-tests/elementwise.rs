//! `elementwise`: every function, alone and in place, and at values where it could overflow.

use smoothenc::engine::ops::elementwise::{Function, elementwise, scale};

use crate::harness::{Case, Input};

const ALPHA: f32 = -1.7;

fn oracle(function: Function, a: f64, b: f64) -> f64 {
    match function {
        Function::Add => a + b,
        Function::Subtract => a - b,
        Function::Multiply => a * b,
        Function::Scale => f64::from(ALPHA) * a,
        Function::Relu if a < 0.0 => 0.0,
        Function::Relu => a,
        Function::ReluGrad if b > 0.0 => a,
        Function::ReluGrad => 0.0,
        Function::Sigmoid => 1.0 / (1.0 + (-a).exp()),
        Function::SigmoidGrad => a * b * (1.0 - b),
        Function::Exp => a.exp(),
    }
}

fn case(name: String, function: Function, inputs: Vec<Input>) -> Case {
    let binary = function.arguments() == 2;
    let apply = move |x: &[Vec<f64>]| {
        let b = |i: usize| if binary { x[1][i] } else { 0.0 };
        vec![x[0].iter().enumerate().map(|(i, a)| oracle(function, *a, b(i))).collect()]
    };
    let build = move |g: &mut _, x: &[_]| Ok(vec![elementwise(g, function, x, ALPHA)?]);
    inputs.into_iter().fold(Case::new(name, build, apply), Case::input)
}

/// Between two scalings, so that the plan lets it overwrite its first argument.
fn in_place(function: Function) -> Case {
    let binary = function.arguments() == 2;
    let build = move |g: &mut _, x: &[_]| {
        let a = scale(g, x[0], 2.0)?;
        let y = elementwise(g, function, &[&[a], &x[1..]].concat(), ALPHA)?;
        Ok(vec![scale(g, y, 0.5)?])
    };
    let apply = move |x: &[Vec<f64>]| {
        let b = |i: usize| if binary { x[1][i] } else { 0.0 };
        vec![x[0].iter().enumerate().map(|(i, a)| 0.5 * oracle(function, 2.0 * a, b(i))).collect()]
    };
    let case = Case::new(format!("{function:?}_in_place_9x31").to_lowercase(), build, apply);
    with_inputs(case, function, [9, 31])
}

fn with_inputs(case: Case, function: Function, shape: [usize; 2]) -> Case {
    let case = case.input(Input::normal(shape));
    if function.arguments() == 2 { case.input(Input::normal(shape)) } else { case }
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for &function in Function::ALL {
        for shape in [[1, 1], [7, 200], [3, 785]] {
            let name = format!("{function:?}_{}x{}", shape[0], shape[1]).to_lowercase();
            let inputs = (0..function.arguments()).map(|_| Input::normal(shape)).collect();
            let case = case(name, function, inputs);
            let wrt: &[usize] = match function {
                Function::ReluGrad | Function::SigmoidGrad => &[0],
                _ if function.arguments() == 2 => &[0, 1],
                _ => &[0],
            };
            cases.push(if shape == [7, 200] { case.gradient(wrt) } else { case });
        }
        cases.push(in_place(function));
    }
    let extremes = vec![-1e30, -200.0, -88.0, -20.0, -1e-30, 0.0, 1e-30, 20.0, 88.0, 200.0, 1e30];
    cases.push(case("sigmoid_extremes".into(), Function::Sigmoid, vec![Input::values([11], extremes)]));
    let odd = vec![f32::NAN, -1.0, f32::INFINITY, f32::NEG_INFINITY, 2.0];
    cases.push(case("relu_keeps_nan".into(), Function::Relu, vec![Input::values([5], odd)]).nonfinite());
    // More than the 256 x 32768 invocations at which a grid is folded in two.
    let folded =
        case("scale_folded_grid".into(), Function::Scale, vec![Input::uniform([8193, 1025], 0.0, 1.0)]);
    cases.push(folded);
    cases
}
