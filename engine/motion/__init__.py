"""How things move: optical flow, occlusion, warping, cuts."""
