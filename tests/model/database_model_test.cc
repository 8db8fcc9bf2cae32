// Random histories against a model that keeps every version (model_history.h), under many options.
//
//   VARVE_TEST_SEED        replays a run
//   VARVE_TEST_ITERATIONS  operations of each history

#include <gtest/gtest.h>

#include "tests/model/model_history.h"
#include "tests/model/model_presets.h"
#include "tests/support/leak_checks.h"
#include "tests/support/seeded_test.h"

namespace varve::test {
namespace {

TEST(ModelPresets, are_many) { EXPECT_GE(presets().size(), 30u); }

class DatabaseModelTest : public testing::TestWithParam<Preset> {};

TEST_P(DatabaseModelTest, answers_as_the_model_does_whatever_happens_below) {
  VARVE_SEEDED_TEST(random);
  const ProcessBaseline baseline;
  {
    History history(GetParam(), random.next());
    history.run(test_iterations(1500));
  }
  baseline.expect_restored();
  EXPECT_EQ(live_batch_bytes(), 0u);
}

TEST(RandomPresetsModelTest, answers_as_the_model_does_whatever_the_options) {
  VARVE_SEEDED_TEST(random);
  for (int i = 0; i < 6 && !testing::Test::HasFailure(); ++i) {
    const Preset preset = random_preset(&random);
    SCOPED_TRACE(testing::PrintToString(i) + "th preset of this seed");
    const ProcessBaseline baseline;
    {
      History history(preset, random.next());
      history.run(test_iterations(400));
    }
    baseline.expect_restored();
    EXPECT_EQ(live_batch_bytes(), 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Presets, DatabaseModelTest, testing::ValuesIn(presets()),
                         [](const testing::TestParamInfo<Preset>& info) {
                           return info.param.name;
                         });

}  // namespace
}  // namespace varve::test
