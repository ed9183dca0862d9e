// Milliseconds that cql-execution takes for the decision on a FHIR Bundle, as JSON: node run.mjs ROUNDS BUNDLE
// documented: a patient source made for each evaluation, as its manual shows; reused: one source for all of them.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { SystemModelInfoProvider } from "@cqframework/cql/cql";
import {
  CqlTranslator, LibraryManager, ModelManager, createModelInfoProvider, stringAsSource,
} from "@cqframework/cql/cql-to-elm";
import fhir from "cql-exec-fhir";
import cql from "cql-execution";

const [rounds, file] = process.argv.slice(2);
const bundle = JSON.parse(readFileSync(file, "utf8"));
const executor = new cql.Executor(new cql.Library(compiled()));
const kept = fhir.PatientSource.FHIRv401();
const sources = { documented: () => fhir.PatientSource.FHIRv401(), reused: () => kept };

const figures = {};
for (const [form, source] of Object.entries(sources)) {
  await times(source, Math.ceil(rounds / 4));
  figures[form] = await times(source, rounds);
}
const decision = Object.values((await evaluated(kept)).patientResults)[0].Decision;
console.log(JSON.stringify({ decision, ...figures }));

async function times(source, count) {
  const taken = [];
  for (let round = 0; round < count; round++) {
    const begun = performance.now();
    await evaluated(source());
    taken.push(performance.now() - begun);
  }
  return taken;
}

function evaluated(source) {
  source.reset();
  source.loadBundles([bundle]);
  return executor.exec(source);
}

function compiled() {
  const model = createRequire(import.meta.url).resolve("cql-exec-fhir/lib/modelInfos/fhir-modelinfo-4.0.1.xml");
  const models = new ModelManager();
  models.modelInfoLoader.registerModelInfoProvider(new SystemModelInfoProvider());
  models.modelInfoLoader.registerModelInfoProvider(
    createModelInfoProvider((name) => (name === "FHIR" ? stringAsSource(readFileSync(model, "utf8")) : null)),
  );
  const text = readFileSync(new URL("decision.cql", import.meta.url), "utf8");
  const translated = CqlTranslator.fromText(text, new LibraryManager(models));
  return JSON.parse(translated.toJson());
}
