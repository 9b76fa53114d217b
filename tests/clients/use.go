// A client that was generated from /openapi.json predicts, explains, lists, and tells what is wrong.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"stature"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	configuration := stature.NewConfiguration()
	configuration.Servers = stature.ServerConfigurations{{URL: os.Args[1]}}
	service := stature.NewAPIClient(configuration)
	background := context.Background()

	steve := stature.MetricMeasurementsAsMeasurements(stature.NewMetricMeasurements(73, 182))
	answer, response, err := service.PredictAPI.PredictOne(background).Measurements(steve).Explain(true).Execute()
	must(err)

	swapped := stature.MetricMeasurementsAsMeasurements(stature.NewMetricMeasurements(182, 73))
	_, _, err = service.PredictAPI.PredictOneByVersion(background, "champion").Measurements(swapped).Execute()
	var refused *stature.GenericOpenAPIError
	if !errors.As(err, &refused) {
		panic("182 kg and 73 cm were not refused")
	}
	var problem stature.InvalidBodyProblem
	must(json.Unmarshal(refused.Body(), &problem))

	alice := stature.ImperialMeasurementsAsInstancesInner(stature.NewImperialMeasurements(128, 63))
	people := stature.NewBatch([]stature.InstancesInner{alice})
	batch, _, err := service.PredictAPI.PredictBatch(background).Batch(*people).Execute()
	must(err)
	versions, _, err := service.RegistryAPI.ListVersions(background).Limit(1).Execute()
	must(err)
	if batch.Predictions[0].Likelier != "female" || len(versions.Versions) != 1 {
		panic("a batch or a list is not as it should be")
	}

	said, err := json.Marshal([]any{
		answer.ProbabilityFemale,
		answer.Explanation.Contributions.Height,
		response.Header.Get("X-Model-Version"),
		problem.Errors[0].Detail,
	})
	must(err)
	fmt.Println(string(said))
}
