#![no_main]

smoothenc_fuzz::target!("onnx");
