// Reads a generated model back: prints what the header says, and writes the model's bytes to the file argv[1].
#include MODEL_HEADER

#include <cstdio>
#include <string>

namespace model = MODEL_NAMESPACE;

struct Resolver {
  std::string added;
#define REGISTERS(name)       \
  int name() {                \
    added += std::string(#name) + " "; \
    return 0;                 \
  }
  REGISTERS(AddAdd)
  REGISTERS(AddAveragePool2D)
  REGISTERS(AddConcatenation)
  REGISTERS(AddConv2D)
  REGISTERS(AddDepthwiseConv2D)
  REGISTERS(AddFullyConnected)
  REGISTERS(AddHardSwish)
  REGISTERS(AddMaxPool2D)
  REGISTERS(AddMean)
  REGISTERS(AddMul)
  REGISTERS(AddPad)
  REGISTERS(AddQuantize)
  REGISTERS(AddRelu6)
  REGISTERS(AddReshape)
  REGISTERS(AddSoftmax)
};

static void PrintText(const char* key, const char* text) {
  std::printf("%s ", key);
  for (; *text; ++text) std::printf("%02x", static_cast<unsigned>(static_cast<unsigned char>(*text)));
  std::printf("\n");
}

int main(int, char** arguments) {
  std::printf("aligned %d\n", reinterpret_cast<std::uintptr_t>(model::kModel) % 16 == 0);
  PrintText("name", model::kName);
  for (const char* label : model::kLabels) PrintText("label", label);
  for (float least : model::kLeastScores) std::printf("least %.9g\n", static_cast<double>(least));
  std::printf("arena %zu\nsize %zu\n", model::kArenaSize, model::kModelSize);
  std::printf("shape %d %d %d %d\n", model::kHeight, model::kWidth, model::kChannels, model::kClassCount);
  for (int channel = 0; channel < model::kChannels; ++channel) {
    std::printf("pixels %.9g %.9g", static_cast<double>(model::kMean[channel]), static_cast<double>(model::kStd[channel]));
    for (int value = 0; value < 256; ++value) {
      std::printf(" %.9g", static_cast<double>(model::InputValue(value, channel)));
    }
    std::printf("\n");
  }
  std::printf("crop %.9g\n", static_cast<double>(model::kCropFraction));
  std::printf("input %.9g %d %zu\n", static_cast<double>(model::kInputScale), model::kInputZeroPoint, sizeof(model::Input));
  std::printf("output %.9g %d %zu\n", static_cast<double>(model::kOutputScale), model::kOutputZeroPoint,
              sizeof(model::Output));
  std::printf("score %.9g\n", static_cast<double>(model::Score(static_cast<model::Output>(100))));
  std::printf("several %d\n", model::kMultiLabel);
  Resolver resolver;
  const bool registered = model::RegisterOperators(resolver);
  std::printf("operators %d %u %s\n", registered, model::kOperatorCount, resolver.added.c_str());
  std::FILE* file = std::fopen(arguments[1], "wb");
  const bool written = file && std::fwrite(model::kModel, 1, model::kModelSize, file) == model::kModelSize;
  return written && std::fclose(file) == 0 ? 0 : 1;
}
