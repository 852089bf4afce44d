// The arithmetic of draw.py and candidates.py on a GPU: the same bits.
//
// Compiled at run time by gpu.py without fused multiply-add, so that every operation rounds as
// NumPy's does. Every kernel strides over its work by the size of the grid, so any launch is
// right; no thread waits for another, so any order of threads is. No header is included: NVRTC
// alone compiles it.
//
// `draw`, `sum_map` and `mark` write to an image of zeros. `count`, `place` and `gather` then select
// its pixels that are not zero, in their order: the image is cut into parts, one thread each, and
// between `count` and `place` gpu.py adds up the counts of the parts.

typedef long long int64;

__device__ int64 first_index() { return (int64)blockIdx.x * blockDim.x + threadIdx.x; }

__device__ int64 stride() { return (int64)gridDim.x * blockDim.x; }

__device__ bool is_number(float value) { return value - value == 0.0f; }

// SR pixels from the first one of the detection's camera pixel, along one axis; see draw.py.
__device__ int within_pixel(float offset_px, int zoom) {
  return (int)floorf((offset_px + 0.5f) * (float)zoom);
}

// draw.draw: detections (N, C, H, W) of a tile; of its core, each adds its weight to one SR pixel
// in the image of its precision class. Integers add up to the same sum in any order. A border that
// is not asked for is infinite.
extern "C" __global__ void draw(const float *detections, int *image, int *refused, int frames,
                                int channels, int tile_height_px, int tile_width_px, int top_px,
                                int left_px, int height_px, int width_px, int zoom, int classes,
                                float border_1_px2, float border_2_px2, float border_3_px2,
                                int margin_px, float max_offset_px, float drawn_from,
                                float weight_one) {
  int rows = (height_px + 2 * margin_px) * zoom, columns = (width_px + 2 * margin_px) * zoom;
  int64 plane = (int64)tile_height_px * tile_width_px, core = (int64)height_px * width_px;
  for (int64 i = first_index(); i < frames * core; i += stride()) {
    int64 frame = i / core;
    int y_px = (int)(i % core / width_px), x_px = (int)(i % width_px);
    const float *found = detections + frame * channels * plane +
                         (int64)(top_px + y_px) * tile_width_px + left_px + x_px;
    float probability = found[0];
    if (!(probability >= 0.0f && probability <= 1.0f)) {
      *refused = 1;
      continue;
    }
    if (!(probability > drawn_from)) continue; // most pixels, of which the rest does not count
    int weight = (int)rintf(probability * weight_one);
    float offset_y_px = found[plane], offset_x_px = found[2 * plane];
    bool sound = fabsf(offset_y_px) <= max_offset_px && fabsf(offset_x_px) <= max_offset_px;
    int borders_below = 0;
    if (classes > 1) {
      float sigma_y_px = found[3 * plane], sigma_x_px = found[4 * plane];
      float spread_px2 = sigma_y_px * sigma_y_px + sigma_x_px * sigma_x_px;
      sound = sound && sigma_y_px > 0.0f && sigma_x_px > 0.0f && is_number(spread_px2);
      borders_below = (spread_px2 > border_1_px2) + (spread_px2 > border_2_px2) +
                      (spread_px2 > border_3_px2);
    }
    if (!sound) {
      *refused = 1;
      continue;
    }
    int row = (y_px + margin_px) * zoom + within_pixel(offset_y_px, zoom);
    int column = (x_px + margin_px) * zoom + within_pixel(offset_x_px, zoom);
    atomicAdd(image + ((int64)borders_below * rows + row) * columns + column, weight);
  }
}

// draw.sum_map: maps (N, 1, H, W) in SR pixels; one thread sums one SR pixel of the core.
extern "C" __global__ void sum_map(const float *maps, int *image, int *refused, int frames,
                                   int map_height, int map_width, int top, int left, int height,
                                   int width, int margin, float weight_one, double most) {
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
    image[(margin + y) * columns + margin + x] = sum;
    if (!sound) *refused = 1;
  }
}

// candidates.candidates: of detections (N, C, H, W), 1 for each pixel that may hold a molecule, or
// holds no number; `plane` is H * W.
extern "C" __global__ void mark(const float *detections, int *image, int frames, int channels,
                                int plane, float probability_min) {
  for (int64 i = first_index(); i < (int64)frames * plane; i += stride()) {
    int64 frame = i / plane;
    image[i] = !(detections[frame * channels * plane + i % plane] < probability_min);
  }
}

// How many pixels of each part are not zero.
extern "C" __global__ void count(const int *image, int *counts, int parts, int part) {
  for (int64 i = first_index(); i < parts; i += stride()) {
    const int *pixel = image + i * part;
    int nonzero = 0;
    for (int k = 0; k < part; k++) nonzero += pixel[k] != 0;
    counts[i] = nonzero;
  }
}

// The places of the pixels that are not zero; those of a part begin at its start.
extern "C" __global__ void place(const int *image, const int *starts, int *index, int parts,
                                 int part) {
  for (int64 i = first_index(); i < parts; i += stride()) {
    int *next = index + starts[i];
    for (int64 at = i * part; at < (i + 1) * part; at++) {
      if (image[at] != 0) *next++ = (int)at;
    }
  }
}

// The values at K places of an image (N, H, W): values (N, C, H, W) of 32 bits to (C, K); `plane`
// is H * W.
extern "C" __global__ void gather(const int *values, const int *index, int *gathered, int places,
                                  int channels, int plane) {
  for (int64 i = first_index(); i < (int64)channels * places; i += stride()) {
    int64 channel = i / places, at = index[i % places], frame = at / plane;
    gathered[i] = values[(frame * channels + channel) * plane + at % plane];
  }
}
