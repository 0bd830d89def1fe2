// cooperative_16: the cooperative matrices of devices where they are 16 x 16 halves
enable f16;
enable wgpu_cooperative_matrix;

const SIDE: u32 = 16;
alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Sum = coop_mat16x16<f32, C>;

