/** What went into a build, as SLSA describes it. `annotations.kind` says what it is to Custody: `DEPENDENCY_KINDS`. */
export interface BuildDependency {
  readonly name?: string | undefined;
  readonly uri?: string | undefined;
  /** Hex digits by algorithm. */
  readonly digest?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, unknown>> | undefined;
}

/** SLSA provenance v1, the part that Custody fills and reads. Subject: the release. Times: RFC 3339. */
export interface ProvenancePredicate {
  readonly buildDefinition: {
    readonly buildType: string;
    readonly externalParameters: Readonly<Record<string, unknown>>;
    readonly internalParameters?: Readonly<Record<string, unknown>> | undefined;
    readonly resolvedDependencies: readonly BuildDependency[];
  };
  readonly runDetails: {
    readonly builder: { readonly id: string };
    readonly metadata: { readonly invocationId: string; readonly startedOn: string; readonly finishedOn: string };
  };
}
