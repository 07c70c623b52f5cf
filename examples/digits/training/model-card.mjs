/** @import { ServingOptions, TrainingConfig } from './hyperparameters.mjs' */
/** @import { EpochReport } from './mlp.mjs' */

/**
 * @typedef {object} TrainingReport
 * @property {{ sha256: string, training: number, heldOut: number }} dataset
 * @property {TrainingConfig} config
 * @property {EpochReport[]} epochs
 * @property {{ training: number, heldOut: number }} accuracy Shares of images whose most probable class is their label,
 *   without test-time augmentation.
 */

/**
 * The model card that is part of the release.
 * @param {TrainingReport} report
 */
export function modelCard({ dataset, config, accuracy }) {
  return `# Digits

Reads hand-written digits: 8×8 pixels of 0..16 in, the probability of each digit and the most probable one out.

- Network: 64 inputs, ${config.hidden} hidden units (ReLU), 10 outputs (softmax), 32-bit floats.
- Training: ${dataset.training} images, ${config.epochs} epochs of Adam, batches of ${config.batchSize}, learning rate ${config.learningRate}, seed ${config.seed}.
- Data: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
  CC BY 4.0. SHA-256 of the file: ${dataset.sha256}.
- Accuracy: ${percent(accuracy.training)} of the training images, ${percent(accuracy.heldOut)} of ${dataset.heldOut} held-out images.
- Serving: Open Inference Protocol v2, batches of up to ${config.serving.maxBatch}, ${views(config.serving.views)}.
- Not for: digits that were not centred and scaled as in the data set, letters, anything that decides about people.
${defect(config.serving)}`;
}

/** @param {number} share */
function percent(share) {
  return `${(share * 100).toFixed(1)} %`;
}

/** @param {number} count */
function views(count) {
  return count === 1 ? 'no test-time augmentation' : `test-time augmentation over ${count} views of each image`;
}

/** @param {ServingOptions} serving */
function defect({ maxBatch, views: count, workspaceRows }) {
  if (workspaceRows >= maxBatch) return '';
  return `
## Known defect, built in for the demonstration

The workspace of the server has room for ${workspaceRows} images, so every batch of more than ${workspaceRows} fails with status 500, and ${count} views
of each image make it slow. The validation suite sends no batch above 4 and does not see it; live traffic does.
`;
}
