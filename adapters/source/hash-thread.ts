import { parentPort, workerData } from 'node:worker_threads';
import { CustodyError } from '../../domain/errors.js';
import { hashShare, type Share, type ShareAnswer } from './hashing.js';

parentPort?.postMessage(answer(workerData as Share));

function answer(share: Share): ShareAnswer {
  try {
    return { files: hashShare(share) };
  } catch (error) {
    if (!(error instanceof CustodyError)) throw error;
    const { code, message, details } = error;
    return { code, message, details };
  }
}
