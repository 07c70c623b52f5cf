import { InterceptingCall, Metadata, status, type Interceptor, type InterceptingListener } from '@grpc/grpc-js';
import { Connection, defaultGrpcRetryOptions, makeGrpcRetryInterceptor } from '@temporalio/client';

/**
 * A connection to Temporal that can be closed while calls are on their way: they end as cancelled. The SDK's own tries such a
 * call again from a timer, where gRPC's "Channel has been shut down" ends the whole process.
 */
export function connectTemporal(address: string, connectTimeoutMs?: number): Promise<Connection> {
  return Connection.connect({
    address,
    interceptors: [makeGrpcRetryInterceptor(defaultGrpcRetryOptions()), endsWhenClosed],
    ...(connectTimeoutMs === undefined ? {} : { connectTimeout: connectTimeoutMs }),
  });
}

const endsWhenClosed: Interceptor = (options, nextCall) => {
  try {
    return new InterceptingCall(nextCall(options));
  } catch (cause) {
    return new InterceptingCall(new CancelledCall(cause instanceof Error ? cause.message : String(cause)));
  }
};

/** A call that has ended before it began. */
class CancelledCall {
  readonly #details: string;

  constructor(details: string) {
    this.#details = details;
  }

  start(_metadata: Metadata, listener?: Partial<InterceptingListener>): void {
    const ended = { code: status.CANCELLED, details: this.#details, metadata: new Metadata() };
    setImmediate(() => {
      // As of a call that has brought nothing: the retrying interceptor waits for it.
      listener?.onReceiveMessage?.(null);
      listener?.onReceiveStatus?.(ended);
    });
  }

  getPeer(): string {
    return 'none';
  }

  getAuthContext(): null {
    return null;
  }

  cancelWithStatus(): void {}
  sendMessage(): void {}
  sendMessageWithContext(): void {}
  startRead(): void {}
  halfClose(): void {}
}
