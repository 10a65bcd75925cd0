package plugins

// Wheel is one pinned file of the Python package index.
type Wheel struct {
	Package string   // its name on the index
	Version string   // of the package
	File    string   // its name carries the tags that pip is asked for
	Size    int64    // in bytes
	SHA256  string   // in hexadecimal
	Licence string   // as its metadata has it
	Keep    []string // patterns (path.Match) of the members that are unzipped, beside licences and notices
}

// Plugin is one that this build knows how to install.
type Plugin struct {
	Backend  string // as in --backend: xla:cpu
	What     string
	API      string // PJRT's, as the file reports it
	Platform string // GOOS/GOARCH that it is for
	Library  string // the plugin, in the installed folder
	Wheels   []Wheel
}

const nvidia = "LicenseRef-NVIDIA-Proprietary"

// Known are the plugins that can be installed. A hash is the one that the index
// had, and of the file that was tried with this code (docs/LOG.md).
var Known = []Plugin{
	{
		Backend:  "xla:cpu",
		What:     "XLA's compiler and runtime for CPUs, built from the XLA of jaxlib 0.11.2 by the authors of lammps-jax",
		API:      "0.115",
		Platform: "linux/amd64",
		Library:  "lammps_jax_pjrt_cpu/pjrt_c_api_cpu_plugin.so",
		Wheels: []Wheel{{
			Package: "lammps-jax-pjrt-cpu",
			Version: "0.11.2",
			File:    "lammps_jax_pjrt_cpu-0.11.2-py3-none-manylinux_2_27_x86_64.whl",
			Size:    62711338,
			SHA256:  "1319390d948b39f69f7dade496b7c385149d9ca6097a6b62114da113216d9ad1",
			Licence: "Apache-2.0",
			Keep:    []string{"lammps_jax_pjrt_cpu/*.so"},
		}},
	},
	{
		Backend:  "xla:tpu",
		What:     "Google's compiler and runtime for Cloud TPUs",
		API:      "0.117",
		Platform: "linux/amd64",
		Library:  "libtpu/libtpu.so",
		Wheels: []Wheel{{
			Package: "libtpu",
			Version: "0.0.52",
			File:    "libtpu-0.0.52-cp311-cp311-manylinux_2_31_x86_64.whl",
			Size:    137064406,
			SHA256:  "f5e2e596eaea9357fbb5a6755a7a9007c6ab75bfde4a55191b03eff402971140",
			Licence: "Google Cloud Platform Terms of Service",
			Keep:    []string{"libtpu/libtpu.so"},
		}},
	},
	{
		// jax-cuda12-plugin 0.10.2 names these packages in its extra "with-cuda"; the versions are the newest of CUDA 12.9
		// that pip chose for it. The plugin finds them by its RPATH ($ORIGIN/../../nvidia/...), ptxas and libdevice by
		// internal/backend's prepareCUDA.
		Backend:  "xla:cuda",
		What:     "XLA's compiler and runtime for NVIDIA GPUs (JAX 0.10.2), with the CUDA 12.9 libraries it loads",
		API:      "0.112",
		Platform: "linux/amd64",
		Library:  "jax_plugins/xla_cuda12/xla_cuda_plugin.so",
		Wheels: []Wheel{
			{"jax-cuda12-pjrt", "0.10.2", "jax_cuda12_pjrt-0.10.2-py3-none-manylinux_2_27_x86_64.whl", 174364763,
				"806d1fd29038b6acf5a2b289dd62192abea977ee26aef60ea295b1d28a23acf8", "Apache-2.0", []string{"jax_plugins/xla_cuda12/*.so"}},
			{"nvidia-cublas-cu12", "12.9.3.13", "nvidia_cublas_cu12-12.9.3.13-py3-none-manylinux_2_27_x86_64.whl", 581217458,
				"d7d51055f161b317c7105ddaae90e71eda059026074ffef93cf7cde2886bfe72", nvidia, []string{"nvidia/cublas/lib/libcublas*.so*"}},
			{"nvidia-cuda-cupti-cu12", "12.9.79", "nvidia_cuda_cupti_cu12-12.9.79-py3-none-manylinux_2_25_x86_64.whl", 10814997,
				"096bcf334f13e1984ba36685ad4c1d6347db214de03dbb6eebb237b41d9d934f", nvidia, []string{"nvidia/cuda_cupti/lib/*.so*"}},
			{"nvidia-cuda-nvcc-cu12", "12.9.86", "nvidia_cuda_nvcc_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl", 40546229,
				"5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0", nvidia,
				[]string{"nvidia/cuda_nvcc/bin/*", "nvidia/cuda_nvcc/nvvm/lib64/*", "nvidia/cuda_nvcc/nvvm/libdevice/*"}},
			{"nvidia-cuda-nvrtc-cu12", "12.9.86", "nvidia_cuda_nvrtc_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl", 89568129,
				"210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4", nvidia, []string{"nvidia/cuda_nvrtc/lib/*.so*"}},
			{"nvidia-cuda-runtime-cu12", "12.9.79", "nvidia_cuda_runtime_cu12-12.9.79-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
				3493179,
				"25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3", nvidia, []string{"nvidia/cuda_runtime/lib/*.so*"}},
			{"nvidia-cudnn-cu12", "9.28.0.42", "nvidia_cudnn_cu12-9.28.0.42-py3-none-manylinux_2_27_x86_64.whl", 716538495,
				"9ff58b7f36dacd0a93e89f8f2957b52466889217963701daa15e577317cfa375", nvidia, []string{"nvidia/cudnn/lib/*.so*"}},
			{"nvidia-cufft-cu12", "11.4.1.4", "nvidia_cufft_cu12-11.4.1.4-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", 200877592,
				"c67884f2a7d276b4b80eb56a79322a95df592ae5e765cf1243693365ccab4e28", nvidia, []string{"nvidia/cufft/lib/libcufft.so*"}},
			{"nvidia-cusolver-cu12", "11.7.5.82", "nvidia_cusolver_cu12-11.7.5.82-py3-none-manylinux_2_27_x86_64.whl", 338117415,
				"15da72d1340d29b5b3cf3fd100e3cd53421dde36002eda6ed93811af63c40d88", nvidia, []string{"nvidia/cusolver/lib/libcusolver.so*"}},
			{"nvidia-cusparse-cu12", "12.5.10.65", "nvidia_cusparse_cu12-12.5.10.65-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
				366465088,
				"73060ce019ac064a057267c585bf1fd5a353734151f87472ff02b2c5c9984e78", nvidia, []string{"nvidia/cusparse/lib/*.so*"}},
			{"nvidia-nccl-cu12", "2.32.3", "nvidia_nccl_cu12-2.32.3-py3-none-manylinux_2_27_x86_64.whl", 351526311,
				"bb94b2348e4861d5e8aa00b36c3d12d9bdf9c6369b82cbb723de0b582280a21c", nvidia, []string{"nvidia/nccl/lib/*.so*"}},
			{"nvidia-nvjitlink-cu12", "12.9.86", "nvidia_nvjitlink_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl", 39748338,
				"e3f1171dbdc83c5932a45f0f4c99180a70de9bd2718c1ab77d14104f6d7147f9", nvidia, []string{"nvidia/nvjitlink/lib/*.so*"}},
			{"nvidia-nvshmem-cu12", "3.8.0", "nvidia_nvshmem_cu12-3.8.0-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", 280800183,
				"b2e5760d6158aefe7bb74348d5128bb1b46a7dd1fd4b7b1e6fe55b4b07888f70", nvidia, []string{"nvidia/nvshmem/lib/*.so*"}},
		},
	},
}
