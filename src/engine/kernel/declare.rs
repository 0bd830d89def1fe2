//! The declaration of a kernel.

/// Declares a kernel once, with the names of its WGSL.
///
/// ```
/// use smoothenc::engine::recording::Call;
///
/// smoothenc::kernel! {
///     /// `y = a x`.
///     pub static SCALE: "scale" {
///         wgsl: ["
///             override ROUNDED: u32 = 0;
///             struct Params { n: u32, a: f32 }
///             @group(0) @binding(0) var<uniform> p: Params;
///             @group(0) @binding(1) var<storage, read> x: array<f32>;
///             @group(0) @binding(2) var<storage, read_write> y: array<f32>;
///             @compute @workgroup_size(256)
///             fn main(@builtin(global_invocation_id) id: vec3u) {
///                 if id.x >= p.n { return; }
///                 let value = p.a * x[id.x];
///                 y[id.x] = select(value, round(value), ROUNDED == 1);
///             }"],
///         params: { n: u32, a: f32 },
///         constants: { ROUNDED },
///         bindings: { x: read f32, y: write f32 },
///         cpu: scale_cpu,
///     }
/// }
///
/// fn scale_cpu(Tile { p, constants, x, y, .. }: Tile) {
///     for (x, y) in x.iter().zip(y) {
///         let value = p.a * x;
///         *y = if constants.ROUNDED == 1 { value.round_ties_even() } else { value };
///     }
/// }
/// # fn call(io: &smoothenc::engine::graph::Io) -> Call {
/// // In the op's `call`:
/// Args { x: io.input(0).by_row(), y: io.output(0).by_row() }
///     .call(Params { n: 7, a: 0.5 }, Constants { ROUNDED: 0 })
/// # }
/// ```
///
/// A binding's access is `read` or `write`; `read_pair` or `write_pair` where a row of the call has two rows of it
/// ([`Scope::Pair`](crate::engine::kernel::Scope)). Params are `u32`, `f32`, or arrays of them; kernels that share a
/// uniform block say `params: Type`, of a type that [`params!`](crate::params) declares.
///
/// Besides the kernel, the macro declares in the module:
/// - `Params`, the uniform block, and `Constants`, the values of the `override` constants;
/// - `Args`, the bound views, with a function `call` that makes a [`Call`](crate::engine::recording::Call);
/// - `Tile`, what the CPU twin sees of some rows: `rows`, `p`, `constants`, and the arguments as slices.
#[macro_export]
macro_rules! kernel {
    // Kernels of this crate, by their files in shaders/, with a text for cooperative matrices where there is one. In
    // parentheses: a text made in Rust.
    ($(#[$doc:meta])* $vis:vis static $KERNEL:ident: $name:literal {
        shaders: [$($file:tt),* $(,)?],
        $(cooperative: [$($cooperative:literal),* $(,)?],)?
        params: $($rest:tt)*
    }) => {
        $crate::kernel! {
            @params [
                $(#[$doc])* $vis $KERNEL $name [$crate::shaders![$($file),*]]
                [trusted () $(with_cooperative ($crate::shaders![$($cooperative),*]))?]
            ]
            params: $($rest)*
        }
    };
    // Other kernels, by their WGSL.
    ($(#[$doc:meta])* $vis:vis static $KERNEL:ident: $name:literal {
        wgsl: [$($text:expr),* $(,)?], $($rest:tt)*
    }) => {
        $crate::kernel! { @params [$(#[$doc])* $vis $KERNEL $name [&[$($text),*]] []] $($rest)* }
    };
    (@params $head:tt params: { $($members:tt)* }, $($rest:tt)*) => {
        $crate::params! {
            /// The uniform block.
            pub(crate) struct Params { $($members)* }
        }
        $crate::kernel! { @all $head Params; $($rest)* }
    };
    (@params $head:tt params: $Params:ty, $($rest:tt)*) => {
        $crate::kernel! { @all $head $Params; $($rest)* }
    };
    (@all
        [$(#[$doc:meta])* $vis:vis $KERNEL:ident $name:literal [$wgsl:expr] [$($method:ident $argument:tt)*]]
        $Params:ty;
        constants: { $($CONSTANT:ident),* $(,)? },
        bindings: { $($binding:ident: $access:ident $element:ident),* $(,)? },
        cpu: $cpu:path $(,)?
    ) => {
        $(#[$doc])*
        #[doc = concat!("The kernel `", $name, "`.")]
        $vis static $KERNEL: $crate::engine::kernel::Kernel = $crate::engine::kernel::Kernel::new(
            $name,
            $wgsl,
            <$Params>::MEMBERS,
            &[$(stringify!($CONSTANT)),*],
            &[$($crate::engine::kernel::Binding {
                name: stringify!($binding),
                access: $crate::__access!($access),
                dtype: <$element as $crate::engine::tensor::Element>::DTYPE,
            }),*],
            |tile| $cpu(Tile::of(tile)),
        )$(.$method $argument)*;

        /// Values of the `override` constants.
        #[derive(Debug, Clone, Copy)]
        #[allow(non_snake_case, dead_code, reason = "the shader's names; the twin may not need all")]
        pub(crate) struct Constants { $(pub(crate) $CONSTANT: u32),* }

        /// What a call binds.
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct Args { $(pub(crate) $binding: $crate::engine::kernel::Arg),* }

        impl Args {
            /// A call of the kernel: one row of work, one workgroup.
            #[allow(unused_variables, reason = "a kernel may have no constants")]
            pub(crate) fn call(self, params: $Params, constants: Constants) -> $crate::engine::recording::Call {
                $crate::engine::recording::Call::new(
                    &$KERNEL,
                    params.words(),
                    vec![$((stringify!($CONSTANT), constants.$CONSTANT)),*],
                    vec![$(self.$binding),*],
                )
            }
        }

        /// Some rows of a call on the CPU.
        #[allow(dead_code, reason = "the twin may not need all that the shader does")]
        pub(crate) struct Tile<'a> {
            /// The rows of the call.
            pub(crate) rows: std::ops::Range<usize>,
            /// The uniform block.
            pub(crate) p: $Params,
            pub(crate) constants: Constants,
            $(pub(crate) $binding: $crate::__slice!('a $access $element)),*
        }

        impl<'a> Tile<'a> {
            #[allow(unused_mut, unused_variables, unused_assignments, reason = "a kernel may have no constants")]
            fn of(mut tile: $crate::engine::kernel::CpuTile<'a>) -> Self {
                let mut number = 0..;
                let mut constant = || number.next().map_or(0, |i| tile.constant(i));
                let constants = Constants { $($CONSTANT: constant()),* };
                Tile {
                    rows: tile.rows(),
                    p: <$Params>::of(tile.params()),
                    constants,
                    $($binding: tile.$access::<$element>()),*
                }
            }
        }
    };
}

/// Declares a uniform block: a struct of `u32`, `f32` and arrays of them.
#[macro_export]
macro_rules! params {
    ($(#[$doc:meta])* $vis:vis struct $Params:ident { $($(#[$member_doc:meta])* $member:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        #[allow(dead_code, reason = "the shader may need more than the twin")]
        $vis struct $Params { $($(#[$member_doc])* $vis $member: $type),* }

        impl $Params {
            /// The members in order.
            $vis const MEMBERS: &'static [$crate::engine::kernel::Member] = &[
                $($crate::engine::kernel::Member {
                    name: stringify!($member),
                    dtype: <$type as $crate::engine::kernel::Param>::DTYPE,
                    words: <$type as $crate::engine::kernel::Param>::WORDS,
                }),*
            ];

            /// The words of the block.
            #[allow(unused_mut, reason = "a block may be empty")]
            $vis fn words(self) -> Vec<u32> {
                let mut words = Vec::new();
                $($crate::engine::kernel::Param::put(self.$member, &mut words);)*
                words
            }

            /// The block of these words.
            #[allow(unused_mut, unused_variables, reason = "a block may be empty")]
            #[inline]
            $vis fn of(mut words: &[u32]) -> Self {
                $Params { $($member: $crate::engine::kernel::Param::take(&mut words)),* }
            }
        }
    };
}

/// The texts of these files in `shaders/`; in parentheses: a text itself.
#[macro_export]
#[doc(hidden)]
macro_rules! shaders {
    (@text ($text:expr)) => { $text };
    (@text $file:literal) => { include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $file)) };
    ($($file:tt),* $(,)?) => { &[$($crate::shaders!(@text $file)),*] };
}

#[macro_export]
#[doc(hidden)]
macro_rules! __access {
    (read) => {
        $crate::engine::kernel::Access::Read
    };
    (read_pair) => {
        $crate::engine::kernel::Access::Read
    };
    (write) => {
        $crate::engine::kernel::Access::Write
    };
    (write_pair) => {
        $crate::engine::kernel::Access::Write
    };
}

#[macro_export]
#[doc(hidden)]
macro_rules! __slice {
    ($a:lifetime read $element:ident) => { &$a [$element] };
    ($a:lifetime read_pair $element:ident) => { [&$a [$element]; 2] };
    ($a:lifetime write $element:ident) => { &$a mut [$element] };
    ($a:lifetime write_pair $element:ident) => { [&$a mut [$element]; 2] };
}
