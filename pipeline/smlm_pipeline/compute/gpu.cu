// The arithmetic of normalize.py and draw.py on a GPU: one pass each, the same bits.
//
// Compiled at run time by gpu.py without fused multiply-add, so that every
// operation rounds as NumPy's does. Every kernel strides over its work by the size of the
// grid, so any launch is right. No header is included: NVRTC alone compiles it.
//
// `summed` is the SR image, row by row, and behind it one flag that is raised where a
// network's answer makes no sense: both reach the host in one copy.

typedef long long int64;

__device__ int64 first_index() { return (int64)blockIdx.x * blockDim.x + threadIdx.x; }

__device__ int64 stride() { return (int64)gridDim.x * blockDim.x; }

// normalize.normalize: frames (N, H, W), levels (N, 2), normalized (N, 1, H, W).
extern "C" __global__ void normalize(const unsigned short *frames_adu, const float *levels_adu,
                                     float *normalized, int frames, int pixels, float most) {
  for (int64 i = first_index(); i < (int64)frames * pixels; i += stride()) {
    int64 frame = i / pixels;
    float background = levels_adu[2 * frame], scale = levels_adu[2 * frame + 1];
    normalized[i] = fminf(((float)frames_adu[i] - background) / scale, most);
  }
}

// Where a detection lies on the SR grid along one axis, margin included; see
// draw.py, _sr_index.
__device__ int fine_index(float offset_px, int pixel, int zoom, int margin_px, int size) {
  float limit = (float)size;
  float near = fminf(fmaxf(offset_px, -limit), limit);
  int index = (int)floorf((near + 0.5f) * (float)zoom) + (pixel + margin_px) * zoom;
  return index < 0 ? 0 : index >= size ? size - 1 : index;
}

__device__ bool is_number(float value) { return value - value == 0.0f; }

// draw.draw: detections (N, C, H, W) of a tile; of its core, each adds its weight to one
// SR pixel. Integers add up to the same sum in any order.
extern "C" __global__ void draw(const float *detections, int *summed, int frames, int channels,
                                int tile_height_px, int tile_width_px, int top, int left,
                                int height_px, int width_px, int zoom, int margin_px,
                                float weight_one) {
  int rows = (height_px + 2 * margin_px) * zoom, columns = (width_px + 2 * margin_px) * zoom;
  int64 plane = (int64)tile_height_px * tile_width_px, core = (int64)height_px * width_px;
  for (int64 i = first_index(); i < frames * core; i += stride()) {
    int64 frame = i / core;
    int y = (int)(i % core / width_px), x = (int)(i % width_px);
    const float *found =
        detections + frame * channels * plane + (int64)(top + y) * tile_width_px + left + x;
    float probability = found[0], offset_y_px = found[plane], offset_x_px = found[2 * plane];
    bool sound = probability >= 0.0f && probability <= 1.0f && is_number(offset_y_px) &&
                 is_number(offset_x_px);
    if (!sound) {
      summed[(int64)rows * columns] = 1;
      continue;
    }
    int weight = (int)rintf(probability * weight_one);
    if (weight == 0) continue; // most pixels: nothing is there
    int row = fine_index(offset_y_px, y, zoom, margin_px, rows);
    int column = fine_index(offset_x_px, x, zoom, margin_px, columns);
    atomicAdd(summed + (int64)row * columns + column, weight);
  }
}

// draw.sum_map: maps (N, 1, H, W) in SR pixels; one thread sums one SR pixel of the core.
extern "C" __global__ void sum_map(const float *maps, int *summed, int frames, int map_height,
                                   int map_width, int top, int left, int height, int width,
                                   int margin, float weight_one, double most) {
  int64 plane = (int64)map_height * map_width, columns = width + 2 * margin;
  for (int64 i = first_index(); i < (int64)height * width; i += stride()) {
    int64 y = i / width, x = i % width;
    const float *value = maps + (top + y) * map_width + left + x;
    int sum = 0;
    bool sound = true;
    for (int frame = 0; frame < frames; frame++, value += plane) {
      float emitters = *value;
      sound = sound && is_number(emitters) && (double)emitters < most;
      if (sound) sum += (int)rintf(fmaxf(emitters, 0.0f) * weight_one);
    }
    summed[(margin + y) * columns + margin + x] = sum;
    if (!sound) summed[(height + 2 * margin) * columns] = 1;
  }
}
