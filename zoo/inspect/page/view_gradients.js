// Gradients by layer: as the model is, at initialization, and at initialization without residual connections.
views.gradients = function (root, found) {
  for (let number = 0; number < found.profiles[0].stacks.length; number++) {
    if (data.source) root.append(say("h3", `stacks.${found.profiles[0].stacks[number].stack}`));
    root.append(lineChart(found.profiles.map((profile) => ({
      name: () => t(`views.gradients.${profile.weights}`), values: profile.stacks[number].outputs,
    })), { logarithmic: true, label: "views.gradients.axis", tick: (i) => `${i + 1}` }));
  }
  for (const [stack, curves] of Object.entries(found.training)) {
    root.append(say("h3", "views.gradients.training", () => ({ stack: t(`stacks.${stack}`) })));
    root.append(lineChart(curves.map((curve) => ({
      name: () => t("views.gradients.step", { step: curve.step }), values: curve.norms,
    })), { logarithmic: true, label: "views.gradients.axis", tick: (i) => `${i + 1}` }));
  }
  if (found.profiles.length === 1) root.append(say("p", "views.gradients.large", { most: found.most.toLocaleString("en") }, { class: "note" }));
  root.append(say("p", "views.gradients.note", { tokens: found.tokens, seed: found.seed }, { class: "note" }));
};
