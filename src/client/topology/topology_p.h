// SPDX-License-Identifier: MIT
#pragma once

#include "engine/topology/declarations_p.h"

#include <AmqpQt/topology.h>

namespace AmqpQt
{

class TopologyPrivate : public QSharedData
{
public:
    static const Engine::Declarations &declarations(const Topology &topology) { return topology.d->contents; }
    static Topology make(const Engine::Declarations &declarations);
    static Engine::Binding binding(Engine::Binding::Destination kind, const QString &destination, const QString &source,
                                   const QString &routingKey, const FieldTable &arguments);

    Engine::Declarations contents;
};

} // namespace AmqpQt
