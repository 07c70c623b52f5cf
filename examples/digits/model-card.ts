import type { TrainingConfig } from './hyperparameters.js';
import type { EpochReport } from './mlp.js';

export interface TrainingReport {
  readonly dataset: { readonly sha256: string; readonly training: number; readonly heldOut: number };
  readonly config: TrainingConfig;
  readonly epochs: readonly EpochReport[];
  /** Shares of images whose most probable class is their label, without test-time augmentation. */
  readonly accuracy: { readonly training: number; readonly heldOut: number };
}

/** The model card that is part of the release. */
export function modelCard({ dataset, config, accuracy }: TrainingReport): string {
  const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
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

function views(count: number): string {
  return count === 1 ? 'no test-time augmentation' : `test-time augmentation over ${count} views of each image`;
}

function defect({ maxBatch, views: count, workspaceRows }: TrainingReport['config']['serving']): string {
  if (workspaceRows >= maxBatch) return '';
  return `
## Known defect, built in for the demonstration

The workspace of the server has room for ${workspaceRows} images, so every batch of more than ${workspaceRows} fails with status 500, and ${count} views
of each image make it slow. The validation suite sends no batch above 4 and does not see it; live traffic does.
`;
}
