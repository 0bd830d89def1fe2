// cooperative_8: the cooperative matrices of devices where they are 8 x 8 halves
enable f16;
enable wgpu_cooperative_matrix;

const SIDE: u32 = 8;
alias Left = coop_mat8x8<f16, A>;
alias Right = coop_mat8x8<f16, B>;
alias Sum = coop_mat8x8<f32, C>;

