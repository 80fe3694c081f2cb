// POST /thumbnail/scaled?width=200: the body is a JPEG, the answer one that is at most so wide.
// POST /thumbnail/size: its width and height.
#include <turbojpeg.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <stdexcept>
#include <string>
#include <tenon/tenon.hpp>
#include <vector>

namespace {

struct Closer {
  void operator()(void* handle) const { tjDestroy(handle); }
};
using Handle = std::unique_ptr<void, Closer>;

struct Size {
  int width = 0;
  int height = 0;
  int subsampling = 0;
};

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

constexpr int64_t most_pixels = 64 * 1000 * 1000;  // a small file can say that it is huge

bool read_size(const Handle& decoder, std::string_view image, Size* size) {
  int colours = 0;
  return decoder && !image.empty() &&
         tjDecompressHeader3(decoder.get(), bytes_of(image), image.size(), &size->width, &size->height,
                             &size->subsampling, &colours) == 0 &&
         int64_t{size->width} * size->height <= most_pixels;
}

tenon::Response no_image() { return tenon::text("Send a JPEG of at most 64 megapixels.\n").status(415); }

// The decoder scales by eighths for nothing, while it decodes: the smallest of its sizes that is wide enough.
Size scaled_by_decoder(const Size& from, int width) {
  int count = 0;
  const tjscalingfactor* const factors = tjGetScalingFactors(&count);
  Size best = from;
  for (int at = 0; at < count; ++at) {
    const int scaled = TJSCALED(from.width, factors[at]);
    if (scaled >= width && scaled < best.width) best = {scaled, TJSCALED(from.height, factors[at]), from.subsampling};
  }
  return best;
}

// The mean of all pixels that fall on one: `to` is not larger than `from`.
std::vector<unsigned char> shrink(const std::vector<unsigned char>& pixels, const Size& from, const Size& to) {
  std::vector<unsigned char> out(size_t(to.width) * size_t(to.height) * 3);
  for (int y = 0; y < to.height; ++y) {
    const int top = int(int64_t{y} * from.height / to.height), bottom = int(int64_t{y + 1} * from.height / to.height);
    for (int x = 0; x < to.width; ++x) {
      const int left = int(int64_t{x} * from.width / to.width), right = int(int64_t{x + 1} * from.width / to.width);
      unsigned sums[3] = {};
      for (int row = top; row < bottom; ++row)
        for (int column = left; column < right; ++column)
          for (size_t colour = 0; colour < 3; ++colour)
            sums[colour] += pixels[(size_t(row) * size_t(from.width) + size_t(column)) * 3 + colour];
      const unsigned count = unsigned(bottom - top) * unsigned(right - left);
      for (size_t colour = 0; colour < 3; ++colour)
        out[(size_t(y) * size_t(to.width) + size_t(x)) * 3 + colour] =
            static_cast<unsigned char>((sums[colour] + count / 2) / count);
    }
  }
  return out;
}

}  // namespace

struct SizeOf : tenon::Resource {
  static constexpr std::string_view path = "/size";

  tenon::Response post(const tenon::Request& request) override {
    const Handle decoder(tjInitDecompress());
    Size size;
    if (!read_size(decoder, request.body(), &size)) return no_image();
    return tenon::json(tenon::Json().object().field("width", size.width).field("height", size.height).end());
  }
};

struct Scaled : tenon::Resource {
  tenon::Response post(const tenon::Request& request) override {
    const std::string_view asked = request.query("width").value_or("200");
    int width = 0;
    const auto read = std::from_chars(asked.data(), asked.data() + asked.size(), width);
    if (read.ec != std::errc() || read.ptr != asked.data() + asked.size() || width < 1 || width > 10'000)
      return tenon::text("width: a number of pixels from 1 to 10000\n").status(400);

    const Handle decoder(tjInitDecompress());
    Size size;
    if (!read_size(decoder, request.body(), &size)) return no_image();
    const Size decoded = scaled_by_decoder(size, std::min(width, size.width));
    std::vector<unsigned char> pixels(size_t(decoded.width) * size_t(decoded.height) * 3);
    if (tjDecompress2(decoder.get(), bytes_of(request.body()), request.body().size(), pixels.data(), decoded.width, 0,
                      decoded.height, TJPF_RGB, 0) != 0 &&
        tjGetErrorCode(decoder.get()) == TJERR_FATAL)
      return tenon::text(std::string(tjGetErrorStr2(decoder.get())) + "\n").status(415);

    Size wanted = decoded;
    if (width < decoded.width) {
      wanted.width = width;
      wanted.height = std::max(1, int(int64_t{decoded.height} * width / decoded.width));
      pixels = shrink(pixels, decoded, wanted);
    }

    const Handle encoder(tjInitCompress());
    if (!encoder) throw std::bad_alloc();
    std::string out(tjBufSize(wanted.width, wanted.height, TJSAMP_420), '\0');
    auto* buffer = reinterpret_cast<unsigned char*>(out.data());
    unsigned long length = out.size();
    if (tjCompress2(encoder.get(), pixels.data(), wanted.width, 0, wanted.height, TJPF_RGB, &buffer, &length,
                    TJSAMP_420, 80, TJFLAG_NOREALLOC) != 0)
      throw std::runtime_error(tjGetErrorStr2(encoder.get()));
    out.resize(length);
    return tenon::Response(std::move(out), "image/jpeg");
  }
};
